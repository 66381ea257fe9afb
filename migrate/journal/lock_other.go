//go:build !linux

package journal

import "errors"

// errNoLock: a lock that dies with its process and can be asked for without being taken is built for Linux only.
var errNoLock = errors.New("lock run: this system has no lock that slipway can use: run slipway on Linux")

type fileLock struct{}

func lockFile(string, Holder) (*fileLock, error) { return nil, errNoLock }

func (*fileLock) Held() error    { return errNoLock }
func (*fileLock) Release() error { return errNoLock }

func whoHolds(string) (Holder, bool, error) { return Holder{}, false, errNoLock }
