package graph

import (
	"context"
	"slices"
	"strconv"

	"portfolio/db"
	"portfolio/internal/auth"
)

// maxNodes is the maximum number of objects that nodes returns.
const maxNodes = 100

// readNode returns the object with a global ID, or nil if it does not exist.
func (r *Resolver) readNode(ctx context.Context, id db.NodeID) (db.Node, error) {
	var errs inputErrors
	errs.nodeID(id, "nodeId")
	nodes, err := r.readNodes(ctx, []*db.NodeID{&id}, errs)
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

// readNodes returns the objects with global IDs, in the order of ids. Objects that do not exist
// are nil. It runs one statement for each type.
func (r *Resolver) readNodes(ctx context.Context, ids []*db.NodeID, errs inputErrors) ([]db.Node, error) {
	if err := errs.err(); err != nil {
		return nil, err
	}
	byType := map[db.NodeType][]int64{}
	for _, id := range ids {
		if !mayReadNode(ctx, *id) {
			return nil, errForbidden
		}
		byType[id.Type] = append(byType[id.Type], id.ID)
	}
	nodes := make([]db.Node, len(ids))
	for nodeType, numbers := range byType {
		byID, err := r.DB.Nodes(ctx, nodeType, numbers)
		if err != nil {
			return nil, err
		}
		for i, id := range ids {
			if id.Type == nodeType {
				nodes[i] = byID[id.ID]
			}
		}
	}
	return nodes, nil
}

// mayReadNode reports whether the viewer may read an object. It does not repeat the
// check of @requires of the field.
func mayReadNode(ctx context.Context, id db.NodeID) bool {
	if id.Type != db.UserNode && id.Type != db.TokenNode {
		return true
	}
	return auth.HasPermission(ctx, auth.PermissionAdmin) || id == auth.Identify(ctx).NodeID()
}

func (e *inputErrors) nodeID(id db.NodeID, field ...any) {
	if !slices.Contains(db.NodeTypes, id.Type) {
		e.add("must be a value of the field nodeId", field...)
	}
}

func (e *inputErrors) nodeIDs(ids []*db.NodeID) {
	if len(ids) > maxNodes {
		e.add("must have at most "+strconv.Itoa(maxNodes)+" entries", "nodeIds")
		return
	}
	for i, id := range ids {
		e.nodeID(*id, "nodeIds", i)
	}
}
