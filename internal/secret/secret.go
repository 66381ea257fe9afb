// Package secret holds values that must never be seen: passwords, tokens, passphrases.
//
// A String masks itself wherever Go prints, encodes or logs a value; the only way to the plain text is Reveal, which is
// short to search for. A Ref says where a secret is (env:NAME, file:PATH); it is not secret itself, is what slipway.yaml
// holds, and is resolved at the moment of use.
//
// What is not promised: that the memory is zeroed after use (Go copies strings and moves stacks), or that a program with
// this process's rights can't read it.
//
// It imports nothing of Slipway.
package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Mask is what is printed in a secret's place, whatever its length.
const Mask = "[secret]"

// ErrEncoded is returned when something tries to decode into a String: a secret enters the program through a Ref alone.
// To fix: write a reference (env:NAME, file:PATH) instead of the value.
var ErrEncoded = errors.New("a secret can't be written here: give a reference, env:NAME or file:PATH")

// String is a secret value. The zero String is empty. It is a closure, so that printing a struct that holds one in an
// unexported field (where fmt can't call its methods) and dumpers that walk memory by reflection show an address at most.
type String struct{ reveal func() string }

// New makes a secret of plain text.
func New(plain string) String {
	if plain == "" {
		return String{}
	}
	return String{reveal: func() string { return plain }}
}

// Reveal gives the plain text. Its result must go straight to where it is used: never into an error, a log, an argument
// of a process, or a type that is encoded.
func (s String) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero says that there is no secret, or an empty one.
func (s String) IsZero() bool { return s.reveal == nil }

// Equal compares the plain texts in constant time for equal lengths.
func (s String) Equal(o String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// NeverJournaled marks the type for the engine, which refuses an Out that contains a type with this method.
func (String) NeverJournaled() {}

// String gives Mask.
func (String) String() string { return Mask }

// GoString gives Mask.
func (String) GoString() string { return Mask }

// Format prints Mask for every verb and flag.
func (String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// MarshalText gives Mask; JSON, YAML, XML and flag values go through it.
func (String) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// UnmarshalText refuses with ErrEncoded.
func (*String) UnmarshalText([]byte) error { return ErrEncoded }

// LogValue gives Mask to log/slog.
func (String) LogValue() slog.Value { return slog.StringValue(Mask) }
