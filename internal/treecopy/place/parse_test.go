package place

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]Place{
		"/":                              {Kind: Local, Path: "/"},
		"/srv/a b%20\xff/":               {Kind: Local, Path: "/srv/a b%20\xff"},
		"/a://b":                         {Kind: Local, Path: "/a:/b"},
		"ssh://files1/srv":               {Kind: SSH, Host: "files1", Path: "/srv"},
		"ssh://files1/":                  {Kind: SSH, Host: "files1", Path: "/"},
		"ssh://me@files1:2222/a?b#c@d:":  {Kind: SSH, User: "me", Host: "files1", Port: 2222, Path: "/a?b#c@d:"},
		"ssh://me@[fd00::1]:22/a":        {Kind: SSH, User: "me", Host: "fd00::1", Port: 22, Path: "/a"},
		"ssh://[fd00::1]/a":              {Kind: SSH, Host: "fd00::1", Path: "/a"},
		"ssh://10.77.0.31/a":             {Kind: SSH, Host: "10.77.0.31", Path: "/a"},
		"gluster://root@files1/assets":   {Kind: Volume, User: "root", Host: "files1", Name: "assets", Path: "/"},
		"gluster://files1:2222/a-b/c d/": {Kind: Volume, Host: "files1", Port: 2222, Name: "a-b", Path: "/c d"},
		"pvc://shop/assets":              {Kind: Claim, Namespace: "shop", Name: "assets"},
		"pvc://shop/assets/":             {Kind: Claim, Namespace: "shop", Name: "assets"},
		"pvc://shop/assets.v2/a/b":       {Kind: Claim, Namespace: "shop", Name: "assets.v2", Path: "a/b"},
	} {
		got, err := Parse(s)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Errorf("%q: written as %q, which is %+v, %v", s, got, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for s, says := range map[string]string{
		"":                       "it is empty",
		"srv":                    "begin with /",
		"./srv":                  "begin with /",
		"files1:/srv":            "did you mean ssh://files1/srv?",
		"me@files1:/srv":         "did you mean ssh://me@files1/srv?",
		"rsync://files1/srv":     "rsync:// isn't known",
		"/srv\x00":               "NUL",
		"ssh://files1":           "the path is missing",
		"ssh:///srv":             `"" is no host`,
		"ssh://-oProxy/srv":      `"-oProxy" is no host`,
		"ssh://@files1/srv":      `"" is no user's name`,
		"ssh://-l@files1/srv":    `"-l" is no user's name`,
		"ssh://files1:0/srv":     `"0" is no port`,
		"ssh://files1:65536/srv": `"65536" is no port`,
		"ssh://files1:x/srv":     `"x" is no port`,
		"gluster://files1":       "the path is missing",
		"gluster://files1/":      `"" is no volume`,
		"gluster://files1/-a/b":  `"-a" is no volume`,
		"pvc://shop":             `"" is no claim`,
		"pvc://Shop/assets":      `"Shop" is no namespace`,
		"pvc://shop/-a":          `"-a" is no claim`,
		"pvc://shop/assets/../x": "lead out",
		"pvc://shop/assets/a//b": "lead out",
	} {
		if _, err := Parse(s); !errors.Is(err, ErrPlace) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "pvc://NAMESPACE/CLAIM/PATH") {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := Parse("ssh://me:secret@files1/srv"); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "--identity") {
		t.Errorf("a password: %v", err)
	}
}
