// Package runbooks has the runbooks as Go values that read from top to bottom in the order they run. A rehearsal and a
// cut-over are the same phases under two wirings: a Wiring says with which eyes and hands, a Site says what is moved.
//
// It knows the steps and the engine; it reads no configuration, dials nothing and must not import cmd or internal/lab.
package runbooks
