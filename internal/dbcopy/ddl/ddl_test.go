package ddl

import (
	"slices"
	"strings"
	"testing"
)

// wide is what MariaDB 10.11 printed for a table with much of what it has.
const wide = "CREATE TABLE `w` (\n" +
	"  `id` int(10) unsigned zerofill NOT NULL AUTO_INCREMENT,\n" +
	"  `a` varchar(20) NOT NULL DEFAULT 'x''y\\\\z',\n" +
	"  `b` text DEFAULT 'q',\n" +
	"  `c` varchar(36) DEFAULT uuid(),\n" +
	"  `d` datetime(3) DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),\n" +
	"  `e` enum('a','b,c','d''e') CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT 'a',\n" +
	"  `f` int(11) GENERATED ALWAYS AS (`x` * 2) VIRTUAL,\n" +
	"  `g` int(11) GENERATED ALWAYS AS (1 + 1) STORED INVISIBLE,\n" +
	"  `h` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT '{}' CHECK (json_valid(`h`)),\n" +
	"  `i` bit(3) DEFAULT b'101',\n" +
	"  `j` varchar(100) /*M!100301 COMPRESSED*/ DEFAULT NULL,\n" +
	"  `k` decimal(10,2) DEFAULT -1.50,\n" +
	"  `l` timestamp NULL DEFAULT NULL,\n" +
	"  `m` timestamp NOT NULL DEFAULT '0000-00-00 00:00:00',\n" +
	"  `o` varchar(10) DEFAULT NULL COMMENT 'it''s, (really) `so`',\n" +
	"  `p` int(11) DEFAULT (1 + 2),\n" +
	"  `q` date DEFAULT curdate(),\n" +
	"  `s` geometry NOT NULL,\n" +
	"  `u` uuid DEFAULT NULL,\n" +
	"  `v` binary(10) DEFAULT NULL,\n" +
	"  `x` tinyint(1) DEFAULT 0,\n" +
	"  PRIMARY KEY (`id`),\n" +
	"  UNIQUE KEY `uu` (`a`),\n" +
	"  KEY `kk` (`b`(10),`k` DESC) USING BTREE COMMENT 'zz',\n" +
	"  KEY `kx` (`k`) IGNORED,\n" +
	"  SPATIAL KEY `sp` (`s`),\n" +
	"  FULLTEXT KEY `ft` (`b`) WITH PARSER ngram,\n" +
	"  CONSTRAINT `fk1` FOREIGN KEY (`x`) REFERENCES `w2` (`id`) ON DELETE CASCADE,\n" +
	"  CONSTRAINT `cc` CHECK (`k` > 0),\n" +
	"  CONSTRAINT `CONSTRAINT_1` CHECK (`x` < 9)\n" +
	") ENGINE=InnoDB AUTO_INCREMENT=10 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci STATS_PERSISTENT=1 ROW_FORMAT=DYNAMIC COMMENT='tab' `page_compressed`='1'\n" +
	" PARTITION BY RANGE (`d`)\n(PARTITION `p0` VALUES LESS THAN (10) COMMENT = 'x' ENGINE = InnoDB)"

const wideMySQL = "CREATE TABLE `w` (\n" +
	"  `id` int(10) unsigned zerofill NOT NULL AUTO_INCREMENT,\n" +
	"  `a` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL DEFAULT 'x''y\\\\z',\n" +
	"  `b` text CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci DEFAULT ('q'),\n" +
	"  `c` varchar(36) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci DEFAULT (uuid()),\n" +
	"  `d` datetime(3) DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),\n" +
	"  `e` enum('a','b,c','d''e') CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT 'a',\n" +
	"  `f` int(11) GENERATED ALWAYS AS (`x` * 2) VIRTUAL,\n" +
	"  `g` int(11) GENERATED ALWAYS AS (1 + 1) STORED INVISIBLE,\n" +
	"  `h` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT ('{}') CHECK (json_valid(`h`)),\n" +
	"  `i` bit(3) DEFAULT b'101',\n" +
	"  `j` varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci DEFAULT NULL,\n" +
	"  `k` decimal(10,2) DEFAULT -1.50,\n" +
	"  `l` timestamp NULL DEFAULT NULL,\n" +
	"  `m` timestamp NOT NULL DEFAULT '0000-00-00 00:00:00',\n" +
	"  `o` varchar(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci DEFAULT NULL COMMENT 'it''s, (really) `so`',\n" +
	"  `p` int(11) DEFAULT (1 + 2),\n" +
	"  `q` date DEFAULT (curdate()),\n" +
	"  `s` geometry NOT NULL,\n" +
	"  `u` varchar(36) CHARACTER SET ascii COLLATE ascii_general_ci DEFAULT NULL,\n" +
	"  `v` binary(10) DEFAULT NULL,\n" +
	"  `x` tinyint(1) DEFAULT 0,\n" +
	"  PRIMARY KEY (`id`),\n" +
	"  CONSTRAINT `cc` CHECK (`k` > 0),\n" +
	"  CONSTRAINT `CONSTRAINT_1` CHECK (`x` < 9)%s\n" +
	") ENGINE=InnoDB AUTO_INCREMENT=10 STATS_PERSISTENT=1 ROW_FORMAT=DYNAMIC COMMENT='tab' DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci\n" +
	"PARTITION BY RANGE (`d`) (PARTITION `p0` VALUES LESS THAN (10) COMMENT = 'x' ENGINE = InnoDB)"

const wideKeys = ",\n  UNIQUE KEY `uu` (`a`),\n  KEY `kk` (`b`(10),`k` DESC) USING BTREE COMMENT 'zz',\n  KEY `kx` (`k`) INVISIBLE,\n  SPATIAL KEY `sp` (`s`),\n  FULLTEXT KEY `ft` (`b`) WITH PARSER ngram"

func facts(collation string, columns ...string) Facts {
	f := Facts{Collation: collation, Columns: map[string]string{}}
	for _, c := range columns {
		name, coll, ok := strings.Cut(c, "=")
		if !ok {
			coll = collation
		}
		f.Columns[name] = coll
	}
	return f
}

func TestWideTable(t *testing.T) {
	table, err := ParseTable(wide)
	if err != nil {
		t.Fatal(err)
	}
	o, changes, refusals := NewRewriter(nil).Table(table, facts("utf8mb4_unicode_ci", "a", "b", "c", "e=latin1_swedish_ci", "h=utf8mb4_bin", "j", "o"))
	if len(refusals) != 1 || !refusals[0].Follow || refusals[0].Part != "j" {
		t.Errorf("refused: %v", refusals)
	}
	for keys, want := range map[bool]string{false: strings.Replace(wideMySQL, "%s", "", 1), true: strings.Replace(wideMySQL, "%s", wideKeys, 1)} {
		if got := o.Create(keys); got != want {
			t.Errorf("keys %v: got\n%s\nwant\n%s", keys, got, want)
		}
	}
	if len(o.ForeignKeys) != 1 || o.ForeignKeys[0].SQL != "CONSTRAINT `fk1` FOREIGN KEY (`x`) REFERENCES `w2` (`id`) ON DELETE CASCADE" {
		t.Errorf("foreign keys %v", o.ForeignKeys)
	}
	var alone, got []string
	for _, k := range o.Keys {
		if k.Alone {
			alone = append(alone, k.Name)
		}
	}
	for _, c := range changes {
		got = append(got, string(c.Rule)+" "+c.Part)
	}
	if !slices.Equal(alone, []string{"sp", "ft"}) {
		t.Errorf("alone are %q", alone)
	}
	want := []string{"default-in-parentheses b", "default-in-parentheses c", "default-in-parentheses h", "column-compression j", "default-in-parentheses q", "type u", "ignored-index kx", "table-option "}
	if !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
}

func table(items, tail string) string {
	return "CREATE TABLE `t` (\n  " + items + "\n) ENGINE=InnoDB" + tail
}

func TestRewrites(t *testing.T) {
	for _, c := range []struct{ name, in, want, rule string }{
		{"a default collation that 10.5 doesn't print", table("`a` varchar(9) DEFAULT NULL", " DEFAULT CHARSET=utf8mb4"), "`a` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci DEFAULT NULL", ""},
		{"its end", table("`a` int", " DEFAULT CHARSET=utf8mb4"), ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci", ""},
		{"NULL isn't an expression", table("`a` text DEFAULT NULL", ""), "DEFAULT NULL", ""},
		{"a function of one", table("`a` varchar(9) DEFAULT concat('a', ')')", ""), "DEFAULT (concat('a', ')'))", "default-in-parentheses"},
		{"a negative number", table("`a` int(11) DEFAULT -5", ""), "DEFAULT -5", ""},
		{"the time of a TIME", table("`a` time DEFAULT curtime()", ""), "DEFAULT (curtime())", "default-in-parentheses"},
		{"the time of a DATETIME", table("`a` datetime DEFAULT current_timestamp()", ""), "DEFAULT current_timestamp()", ""},
		{"the time of a VARCHAR", table("`a` varchar(30) DEFAULT current_timestamp()", ""), "DEFAULT (current_timestamp())", "default-in-parentheses"},
		{"AUTO_INCREMENT in another key", table("`a` int(11) NOT NULL,\n  `b` int(11) NOT NULL AUTO_INCREMENT,\n  PRIMARY KEY (`a`),\n  KEY `b` (`b`)", ""), "PRIMARY KEY (`a`),\n  KEY `b` (`b`)\n)", ""},
		{"a MariaDB collation", table("`a` varchar(9) COLLATE utf8mb4_uca1400_as_cs DEFAULT NULL", ""), "COLLATE utf8mb4_0900_as_cs", "collation"},
		{"10.5's name of utf8mb3", table("`a` varchar(9) CHARACTER SET utf8 DEFAULT NULL", ""), "CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci", ""},
		{"11.8's collation of utf8mb3", table("`a` varchar(9) COLLATE utf8mb3_uca1400_ai_ci DEFAULT NULL", ""), "CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_520_ci", "collation"},
		{"a collation that doesn't pad", table("`a` varchar(9) COLLATE utf8mb4_unicode_nopad_ci DEFAULT NULL", ""), "COLLATE utf8mb4_0900_ai_ci", "collation"},
		{"row format", table("`a` int", " ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4"), ") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT", "row-format"},
		{"encryption", table("`a` int", " `ENCRYPTED`=YES `ENCRYPTION_KEY_ID`=2"), ") ENGINE=InnoDB DEFAULT", "table-option"},
		{"a quoted name with a quote", table("`a``b` int(11) DEFAULT NULL", ""), "`a``b` int(11) DEFAULT NULL", ""},
	} {
		tb, err := ParseTable(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		f := facts("utf8mb4_general_ci")
		for _, col := range tb.Columns {
			switch {
			case strings.Contains(c.in, "utf8mb3_uca1400"):
				f.Columns[col.Name] = "utf8mb3_uca1400_ai_ci"
			case strings.Contains(c.in, "nopad"):
				f.Columns[col.Name] = "utf8mb4_unicode_nopad_ci"
			case strings.Contains(c.in, "uca1400"):
				f.Columns[col.Name] = "utf8mb4_uca1400_as_cs"
			case strings.Contains(c.in, "SET utf8 "):
				f.Columns[col.Name] = "utf8_general_ci"
			case col.Type == "varchar" || col.Type == "text":
				f.Columns[col.Name] = f.Collation
			}
		}
		o, changes, refusals := NewRewriter(nil).Table(tb, f)
		if got := o.Create(false); !strings.Contains(got, c.want) || len(refusals) > 0 {
			t.Errorf("%s: got\n%s\nwhich lacks %q; refused: %v", c.name, got, c.want, refusals)
		}
		if c.rule == "" && len(changes) > 0 || c.rule != "" && (len(changes) == 0 || string(changes[0].Rule) != c.rule) {
			t.Errorf("%s: changes %v, want %q", c.name, changes, c.rule)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"engine", strings.Replace(table("`a` int", ""), "InnoDB", "Aria", 1), "its engine is Aria"},
		{"versioned", table("`a` int", " WITH SYSTEM VERSIONING"), "history"},
		{"sequence", table("`a` int DEFAULT nextval(`s`.`q`)", ""), "sequence"},
		{"hash", table("`a` text, UNIQUE KEY `a` (`a`) USING HASH", ""), "unique key over a hash"},
		{"year", table("`a` year(2) DEFAULT NULL", ""), "YEAR(2)"},
		{"decimal", table("`a` decimal(38,31) DEFAULT NULL", ""), "at most 30 digits"},
		{"type", table("`a` vector(3) NOT NULL", ""), "the type VECTOR"},
		{"option", table("`a` int", " NEWFANGLED=1"), "doesn't know: NEWFANGLED=1"},
		{"index option", table("`a` int, KEY `a` (`a`) CLUSTERING=YES", ""), "doesn't know: CLUSTERING=YES"},
		{"collation", table("`a` int", ""), "no collation latin1_swedish_nopad_ci"},
		{"engine elsewhere", strings.Replace(table("`a` int", ""), "InnoDB", "SPIDER", 1), "its engine is SPIDER, whose rows aren't InnoDB's"},
		{"period", table("`a` date, `b` date, PERIOD FOR `p` (`a`, `b`)", ""), "a PERIOD"},
		{"overlaps", table("`a` int, UNIQUE KEY `k` (`a`,`p` WITHOUT OVERLAPS)", ""), "WITHOUT OVERLAPS"},
		{"history column", table("`a` timestamp(6) GENERATED ALWAYS AS ROW START", ""), "part of the rows' history"},
		{"no history", table("`a` int WITHOUT SYSTEM VERSIONING", ""), "part of the rows' history"},
		{"auto increment", table("`a` int, `b` int NOT NULL AUTO_INCREMENT, PRIMARY KEY (`a`,`b`)", ""), "AUTO_INCREMENT that begins no key"},
		{"parts", table("`a` int, KEY `k` ("+strings.TrimSuffix(strings.Repeat("`a`,", 17), ",")+")", ""), "it has 17 columns, and a key in MySQL at most 16"},
		{"default partition", table("`a` int", " PARTITION BY LIST (`a`)\n(PARTITION `p` VALUES IN (1) ENGINE = InnoDB,\n PARTITION `d` DEFAULT ENGINE = InnoDB)"), "a DEFAULT partition"},
		{"history partition", table("`a` int", " PARTITION BY SYSTEM_TIME LIMIT 10"), "partitioned by its rows' history"},
		{"vector index", table("`a` blob, VECTOR KEY `v` (`a`) `M`=6", ""), "a vector index"},
		{"compressed", table("`a` varchar(9) /*M!100301 COMPRESSED*/ DEFAULT NULL", ""), "the binary log has the column's values compressed"},
	} {
		tb, err := ParseTable(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		coll := "utf8mb4_general_ci"
		if c.name == "collation" {
			coll = "latin1_swedish_nopad_ci"
		}
		_, _, refusals := NewRewriter(nil).Table(tb, facts(coll))
		if len(refusals) != 1 || !strings.Contains(refusals[0].What, c.want) {
			t.Errorf("%s: %v", c.name, refusals)
			continue
		}
		if r := refusals[0]; r.Check == "" || r.Follow != (c.name == "compressed") {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

// TestUnread: what isn't understood is an error, and not passed on or left out.
func TestUnread(t *testing.T) {
	for _, in := range []string{"", "CREATE", "CREATE TABLE t (a int)", "CREATE TABLE `t`", "CREATE TABLE `t` (`a` int", table("`a` int SHINY", ""), table("PERIOD FOR `p`", ""), table("VECTOR KEY `v`", ""),
		table("`a` int DEFAULT `b` + 1", ""), table("`a` int DEFAULT 1 + 1", ""), table("`a` varchar(9) DEFAULT 'x", ""), table("`a` int /*!100000 INVISIBLE", ""), table("`a` int /* open", ""), table("CONSTRAINT `c` UNIQUE (`a`)", ""),
		table("`a` int GENERATED ALWAYS AS (1)", ""), table("`a` int, CONSTRAINT `c` CHECK (1) MORE", ""), table("`a` int", " = 1"), "CREATE TABLE `t\xff` (`a` int)"} {
		if tb, err := ParseTable(in); err == nil {
			t.Errorf("taken: %s as %+v", in, tb)
		}
	}
}

func TestCheckNames(t *testing.T) {
	r := NewRewriter(nil)
	var got []string
	for _, name := range []string{"t1", "t2", "t3"} {
		tb, err := ParseTable("CREATE TABLE `" + name + "` (\n  `a` int,\n  CONSTRAINT `CONSTRAINT_1` CHECK (`a` > 0),\n  CONSTRAINT `t3_constraint_1` CHECK (`a` > 1)\n) ENGINE=InnoDB")
		if err != nil {
			t.Fatal(err)
		}
		o, _, _ := r.Table(tb, facts("latin1_bin"))
		for line := range strings.Lines(o.Create(true)) {
			if _, rest, ok := strings.Cut(line, "CONSTRAINT "); ok {
				n, _, _ := strings.Cut(rest, " ")
				got = append(got, strings.ToLower(strings.Trim(n, "`")))
			}
		}
	}
	if s := slices.Clone(got); len(got) != 6 || len(slices.Compact(slices.Sorted(slices.Values(s)))) != 6 {
		t.Errorf("names %q are not each once", got)
	}
	long := strings.Repeat("ä", 40)
	tb, err := ParseTable("CREATE TABLE `" + long + "` (\n  `a` int,\n  CONSTRAINT `CONSTRAINT_1` CHECK (`a` > 0)\n) ENGINE=InnoDB")
	if err != nil {
		t.Fatal(err)
	}
	o, changes, _ := r.Table(tb, facts("latin1_bin"))
	if len(changes) != 1 || !strings.Contains(o.Create(true), "_CONSTRAINT_1`") || strings.Contains(o.Create(true), "\ufffd") {
		t.Errorf("%s\n%v", o.Create(true), changes)
	}
}

func TestView(t *testing.T) {
	for _, c := range []struct{ in, want, rule string }{
		{"CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS select `a`.`x` AS `x`,'it''s VIEW AS' AS `y` from `a`",
			"CREATE ALGORITHM=UNDEFINED SQL SECURITY INVOKER VIEW `v` AS select `a`.`x` AS `x`,'it''s VIEW AS' AS `y` from `a`", "SQL SECURITY DEFINER of root@localhost to INVOKER"},
		{"CREATE ALGORITHM=MERGE DEFINER=`we``ird`@`%` SQL SECURITY INVOKER VIEW `v` AS select 1 AS `1` WITH CASCADED CHECK OPTION",
			"CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW `v` AS select 1 AS `1` WITH CASCADED CHECK OPTION", ""},
		{"CREATE ALGORITHM=UNDEFINED DEFINER=`role` SQL SECURITY DEFINER VIEW `v` AS select 1 AS `1`",
			"CREATE ALGORITHM=UNDEFINED SQL SECURITY INVOKER VIEW `v` AS select 1 AS `1`", "SQL SECURITY DEFINER of role to INVOKER"},
	} {
		name, got, changes, err := View(c.in)
		if err != nil || name != "v" || got != c.want {
			t.Errorf("%s, %v: got\n%s\nwant\n%s", name, err, got, c.want)
		}
		if c.rule == "" && changes != nil || c.rule != "" && (len(changes) != 1 || changes[0].What != c.rule) {
			t.Errorf("changes %v", changes)
		}
	}
	for _, in := range []string{"", "CREATE VIEW", "CREATE VIEW v AS select 1", "CREATE SHINY VIEW `v` AS select 1", "CREATE VIEW `v` select 1", "CREATE VIEW `v` AS", "CREATE DEFINER="} {
		if _, got, _, err := View(in); err == nil {
			t.Errorf("taken: %q as %q", in, got)
		}
	}
}

// What parses is written as something that parses, and is written the same again: nothing is lost or made up on the way.
func FuzzTable(f *testing.F) {
	f.Add(wide)
	for _, items := range []string{"`a` int", "`a` text DEFAULT 'x', KEY `k` (`a`(3)) COMMENT 'y'", "`a` int DEFAULT -1, CHECK (`a` > 0), CONSTRAINT `c` CHECK (1)", "`a` uuid DEFAULT uuid(), PRIMARY KEY (`a`)",
		"`a` int /*!80023 INVISIBLE */ GENERATED ALWAYS AS (1) STORED, CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `b` (`c`)"} {
		f.Add(table(items, " AUTO_INCREMENT=3 COMMENT='x'"))
	}
	f.Fuzz(func(t *testing.T, in string) {
		tb, err := ParseTable(in)
		if err != nil {
			return
		}
		fs := facts("utf8mb4_general_ci")
		o, _, refusals := NewRewriter(nil).Table(tb, fs)
		if len(refusals) > 0 {
			return
		}
		out := o.Create(true)
		again, err := ParseTable(out)
		if err != nil {
			t.Fatalf("%q became %q, which isn't read: %v", in, out, err)
		}
		for _, c := range tb.Columns {
			if textual[c.Type] > 0 { // it is of characters now
				fs.Columns[c.Name] = "ascii_general_ci"
			}
		}
		o2, _, refusals := NewRewriter(nil).Table(again, fs)
		if o2.Create(true) != out || len(refusals) > 0 {
			t.Fatalf("%q became %q, and that %q (%v)", in, out, o2.Create(true), refusals)
		}
	})
}

func FuzzView(f *testing.F) {
	f.Add("CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS select 1 AS `1`")
	f.Fuzz(func(t *testing.T, in string) {
		name, out, _, err := View(in)
		if err != nil {
			return
		}
		again, out2, changes, err := View(out)
		if err != nil || again != name || out2 != out || changes != nil {
			t.Fatalf("%q became %q and that %q (%v, %v)", in, out, out2, changes, err)
		}
	})
}
