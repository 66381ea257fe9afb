package migrate

import "reflect"

// DepOn is a dependency by id, for runbooks that tests make of tables.
func DepOn(id StepID) Dep { return Dep{id} }

// EyeErr is what is wrong with an eye.
func EyeErr[L any](e Eye[L]) error { return e.err }

// CheckOut is what is wrong with a type of result.
func CheckOut[Out any]() error { return checkOut(reflect.TypeFor[Out]()) }

// EncodeOut is a result as it is journaled.
func EncodeOut[Out any](o Out) ([]byte, error) { return encodeOut(o) }

// Differs is what differs between a run's manifest and another one, in words.
func Differs(was, is *Manifest) []string { return was.differs(is) }
