// Package changefeed tracks committed changes, so that reads from memory are linearizable.
//
// # Terms
//
// A revision is the number of the last change that the feed has received. The feed counts
// changes itself, so a revision means nothing to other processes.
//
// A read set names the rows on which a result depends: portfolios with their links, images
// with their thumbnails, or all rows. Statements record it while they run ([db.ReadSet]).
//
// A read barrier waits until the feed has received every change that was committed before
// the barrier began. The barrier is a round trip on the connection that receives
// notifications, as ReadIndex is a round trip of a leader in Raft.
//
// A session is the lifetime of one connection of the feed. Changes between two sessions are
// lost, so a new session makes every earlier result stale.
//
// # Why a cached result is linearizable
//
// A request may be served from memory if its response reflects every change whose commit was
// acknowledged before the request began.
//
//  1. The request begins a barrier.
//  2. A result in memory is stored with its read set, and with the revision before its first
//     row was read. Each later change has a greater number.
//  3. When the barrier has ended, the feed has numbered every change that was committed
//     before the request.
//  4. If no row of the read set has a greater number by then, the database would have
//     returned the same result at the start of the request. Otherwise the result is stale.
//
// A change that is in flight while rows are read gets a greater number, although the rows may
// reflect it already. That costs one needless read. Read sets are hashed, and a collision
// also costs one needless read.
//
// # Who waits for whom
//
//	request          feed                         database
//	   | NewBarrier    |                              |
//	   |-------------->| Sync: a round trip, shared   |
//	   | looks up its  |----------------------------->| notifications of earlier
//	   | user and the  |<-----------------------------| commits, then the reply
//	   | response      | numbers each change          |
//	   | Barrier.Wait  |                              |
//	   |<--------------| revision                     |
//	   | IsCurrent?    |                              |
//	   | responds      |                              |
//
// A request waits for its barrier only before it responds from memory. Rows that are not in
// memory are read while the barrier is under way. After its commit, a writer of this process
// waits for the notification of its change. So a lost notification ends the session.
//
// The argument relies on assumptions about the database, which [db.Listener] checks.
// docs/caching.md lists the assumptions.
package changefeed
