// Package tree says what a file tree is, entry by entry, what its two ends can be asked for, and how entries travel between them: a listing in
// one fixed order, and a stream of members with their contents. Names are bytes without NUL, of whatever encoding.
//
// It imports nothing of Slipway: the agent, which is copied onto hosts and into pods, is made of it and of package disk, and is small.
package tree
