package labtest

import "testing"

func TestWholeVolume(t *testing.T) {
	brick := func(status, entries string) string {
		return "Brick files1:/srv/brick/assets\nStatus: " + status + "\nNumber of entries: " + entries + "\n\n"
	}
	whole := brick("Connected", "0")
	for _, c := range []struct {
		name, out string
		ok        bool
	}{
		{"whole", whole + whole + whole, true},
		{"a brick less", whole + whole, false},
		{"a brick away", whole + whole + brick("Transport endpoint is not connected", "-"), false},
		{"healing", whole + brick("Connected", "2") + whole, false},
		{"nothing", "", false},
	} {
		if err := wholeVolume(c.out); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
