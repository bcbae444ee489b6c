package changefeed

// Waiting returns the number of calls of Wait that wait.
func (f *Feed) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiters.all)
}
