// Package agent is a tree on another machine: a small program there, the agent, that is spoken with over its standard input and output, and the
// tree.Target that speaks with it. How it comes there and is started is the caller's (package place).
//
// A session is one agent. The agent begins, with a line that says who it is; whatever a shell prints before that line is passed over. All
// that follows is frames: a letter, the length of what follows as a varint, and that. To the agent:
//
//	h  hello: the root, and how it is to be read. Once, first
//	L R H P W D F S  an operation: one of tree.Target's. The next may begin when this one's answer has come
//	i  a piece of the operation's input: records, or a tree.Stream
//	q  the input's end
//	b  the input broke off: what came of it isn't the whole
//	.  nothing but a sign of life
//
// From the agent:
//
//	k  hello is accepted; says which directory the root is
//	o  a piece of the operation's output: records, or a tree.Stream
//	z  the operation is done, and its output whole
//	x  it failed: what kind of error it is, and its text
//
// Records are the encodings of package tree, each with its length before it as a varint.
//
// An agent ends when its input does, and when it has heard nothing for Patience. It imports package tree and nothing else of Slipway.
package agent
