// Package pass copies a tree in passes: it lists the source, compares the listing with what it knows of the target, sends what changed, takes away
// what is gone, and records what is there, so that the next pass, or one after a kill, does the rest. Verify compares all of two trees.
//
// It imports internal/treecopy/tree alone of Slipway: what the two ends are, and how they are reached, is no matter of its.
package pass
