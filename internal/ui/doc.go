// Package ui renders what a run does and did: events as they happen, plans, tables of what took how long. Terminal and
// JSON output render the same events. It decides nothing and reads no input; it must not import steps, clients or
// configuration.
package ui
