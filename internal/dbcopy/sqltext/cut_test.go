package sqltext

import "testing"

func TestRequalify(t *testing.T) {
	to := map[string]string{"shop": "_slipway_check_1", "we`ird": "x"}
	for in, want := range map[string]string{
		"select a from shop.orders":                             "select a from `_slipway_check_1`.orders",
		"select `shop` . `orders`.`id` from `shop` . `orders`":  "select `_slipway_check_1` . `orders`.`id` from `_slipway_check_1` . `orders`",
		"select 'shop.orders', \"shop.x\", shop from a.shop":    "select 'shop.orders', \"shop.x\", shop from a.shop",
		"select 1 /* shop.a */ -- shop.b\n# shop.c\n":           "select 1 /* shop.a */ -- shop.b\n# shop.c\n",
		"select a.shop.id from myshop.t, shopping.t":            "select a.shop.id from myshop.t, shopping.t",
		"REFERENCES `we``ird`.`t` (`a`)":                        "REFERENCES `x`.`t` (`a`)",
		"select 'it''s \\' shop.a', `sh``op`.a, 1.5, 0x1f, 1e3": "select 'it''s \\' shop.a', `sh``op`.a, 1.5, 0x1f, 1e3",
	} {
		if got := Requalify(in, to); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", in, got, want)
		}
	}
}

func TestBare(t *testing.T) {
	for in, want := range map[string]bool{"select `s`.`a` from `t` `s`": true, "select `s`.`t`.`a` from `s`.`t`": false, "select `a`.`s` from `a`": false, "select 's' /* s */": false, "s": true} {
		if got := Bare(in, "s"); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestAnonymous(t *testing.T) {
	for in, want := range map[string]string{
		"select *\n  from t -- x\n where a = 'it''s' and b in (1, 2.5e3,0xff)": "select * from t where a = ? and b in (?, ?,?)",
		"select `1`, t1.a2 from 2go":     "select `1`, t1.a2 from 2go",
		"  /* hint */ select \"x\\\"y\"": "select ?",
	} {
		if got := Anonymous(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

// Nothing is lost, whatever the text.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"", "select 'a", "`", "/*", "--", "-- x", "1.e5.x", "0x", "'\\", "a.b.`c` = \"d\" # e", "1e+", ".5."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ps := Cut(s)
		if got := Join(ps); got != s {
			t.Fatalf("%q became %q", s, got)
		}
		for _, p := range ps {
			if p.Text == "" {
				t.Fatalf("%q has an empty piece", s)
			}
		}
		Requalify(s, map[string]string{"a": "b"})
		Anonymous(s)
	})
}
