package queries

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestPrepared(t *testing.T) {
	for _, c := range []struct {
		digest string
		n      int
		want   string
	}{
		{"SELECT * FROM `t` WHERE `a` IN (...) AND `b` = ?", 3, "SELECT * FROM `t` WHERE `a` IN (?,?,?) AND `b` = ?"},
		{"INSERT INTO `t` VALUES (...) /* , ... */", 2, "INSERT INTO `t` VALUES (?,?) /* , ... */"},
		{"SELECT * FROM `t` LIMIT ?, ...", 1, "SELECT * FROM `t` LIMIT ?"},
		{"SELECT CONCAT (`a` , _utf8mb4 ?) FROM `t`", 1, "SELECT CONCAT (`a` , ?) FROM `t`"},
	} {
		if got := (Query{Text: c.digest, Digest: true}).Prepared(c.n); got != c.want {
			t.Errorf("%s: got %s, want %s", c.digest, got, c.want)
		}
	}
	plain := Query{Text: "SELECT '(...)', _utf8mb4 'x'"}
	if got := plain.Prepared(4); got != plain.Text {
		t.Errorf("a text with its literals became %s", got)
	}
}

func TestExplained(t *testing.T) {
	q := Query{Digest: true, Text: "SELECT * FROM `t` WHERE `a` = ? AND `b` IN (...) LIMIT ? OFFSET ?"}
	if got, want := q.Explained(), "SELECT * FROM `t` WHERE `a` = '2020-01-01' AND `b` IN ('2020-01-01') LIMIT 1 OFFSET 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestApplication(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT 1": true, "( SELECT `a` FROM `t` )": true, "WITH `x` AS ( SELECT ? ) SELECT * FROM `x`": true, "UPDATE `t` SET `a` = ?": true, "CALL `p` ( )": true,
		"SET NAMES ?": false, "SHOW TABLES": false, "COMMIT": false, "": false, "SELECT @@version": false, "SELECT * FROM `information_schema` . `TABLES`": false,
		"SELECT `mysql` FROM `t`": true, "CREATE TABLE `t` ( `a` INTEGER )": false,
	} {
		if got := Application(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]bool{"SELECT `a` FROM ...": true, "SELECT `a` FROM `t` LIMIT ?, ...": false, "SELECT `a` FROM `t` WHERE `b` IN (...)": false, "INSERT INTO `t` VALUES (?) /* , ... */": false} {
		if got := (Query{Text: text, Digest: true}).Cut(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// slow is what a MariaDB 10.11 wrote, with a restart in it.
const slow = `/usr/sbin/mariadbd, Version: 10.11.19-MariaDB-log (Debian 12). started with:
Tcp port: 3306  Unix socket: /run/mysqld/mysqld.sock
Time		    Id Command	Argument
# Time: 261123  8:00:01
# User@Host: shop[shop] @ web1 [10.0.0.31]
# Thread_id: 9  Schema: shop  QC_hit: No
# Query_time: 0.000310  Lock_time: 0.000050  Rows_sent: 1  Rows_examined: 1
# Rows_affected: 0  Bytes_sent: 60
use shop;
SET timestamp=1795420801;
SELECT * FROM orders
WHERE id = 17 AND note = 'a; b';
# User@Host: shop[shop] @ web1 [10.0.0.31]
# Thread_id: 9  Schema: shop  QC_hit: No
# Query_time: 0.000310  Lock_time: 0.000050  Rows_sent: 1  Rows_examined: 1
# Rows_affected: 0  Bytes_sent: 60
SET timestamp=1795420802;
SELECT * FROM orders WHERE id = 18 AND note = 'c';
# User@Host: stat[stat] @ web1 [10.0.0.31]
# Thread_id: 10  Schema: stat  QC_hit: No
# Query_time: 0.000310  Lock_time: 0.000050  Rows_sent: 1  Rows_examined: 1
SET timestamp=1795420803;
# administrator command: Quit;
# User@Host: stat[stat] @ web1 [10.0.0.31]
# Thread_id: 10  Schema: stat  QC_hit: No
SET timestamp=1795420803;
UPDATE hits SET n = n + 1;
/usr/sbin/mariadbd, Version: 10.11.19-MariaDB-log (Debian 12). started with:
Tcp port: 3306  Unix socket: /run/mysqld/mysqld.sock
Time		    Id Command	Argument
# Time: 261123  9:00:01
# User@Host: shop[shop] @ web1 [10.0.0.31]
# Thread_id: 3  Schema: shop  QC_hit: No
SET timestamp=1795424401;
COMMIT;
# User@Host: shop[shop] @ web1 [10.0.0.31]
# Thread_id: 3  Schema: shop  QC_hit: No
SET timestamp=1795424401;
DELETE FROM carts WHERE id = 1`

func TestSlowLog(t *testing.T) {
	log, err := ReadSlowLog(strings.NewReader(slow))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, q := range log.Queries {
		got = append(got, strings.Join([]string{q.Schema, string('0' + rune(q.Calls)), q.Shown(80)}, " "))
	}
	want := []string{"shop 2 SELECT * FROM orders WHERE id = ? AND note = ?", "stat 1 UPDATE hits SET n = n + ?", "shop 1 DELETE FROM carts WHERE id = ?"}
	if !slices.Equal(got, want) || log.TooLong != 0 {
		t.Errorf("got %q, want %q; %d too long", got, want, log.TooLong)
	}
	if !strings.Contains(log.Queries[0].Text, "'a; b'") {
		t.Errorf("its literals are gone: %s", log.Queries[0].Text)
	}
	long := "# Time: x\nSELECT '" + strings.Repeat("x", longestStatement) + "';\n# Time: x\nSELECT 1;\n"
	if log, err := ReadSlowLog(strings.NewReader(long)); err != nil || log.TooLong != 1 || len(log.Queries) != 1 {
		t.Errorf("%+v, %v", log.TooLong, err)
	}
	for _, none := range []string{"", "hello\n", "# Time: x\nCOMMIT;\n"} {
		if _, err := ReadSlowLog(strings.NewReader(none)); !errors.Is(err, ErrNoSlowLog) {
			t.Errorf("%q: %v", none, err)
		}
	}
}

func TestShown(t *testing.T) {
	if got := (Query{Text: "SELECT 'secret', ä"}).Shown(12); got != "SELECT ?, ä..." && got != "SELECT ?, ä" {
		t.Errorf("%q", got)
	}
	if got := (Query{Text: "SELECT 'hunter2'"}).Shown(100); strings.Contains(got, "hunter2") {
		t.Errorf("a literal is shown: %q", got)
	}
}
