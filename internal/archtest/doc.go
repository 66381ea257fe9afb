// Package archtest holds the rules of the code's architecture, as tests: which package may import which, what only cmd
// may do, what a file may not have. The rules are those of docs/ARCHITECTURE.md. It also holds the documents to the code:
// links, dependencies, messages, names, and the step that docs/adding-a-step.md walks through.
//
// A rule that must be broken in one place is broken in the table of exceptions in rules_test.go, with the reason. The
// package has no code of its own and imports the standard library alone.
package archtest
