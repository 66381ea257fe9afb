package shop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// digest is SHA-256 over every value of every row, with its type.
func digest(s Size) string {
	h := sha256.New()
	for _, t := range s.tables() {
		fmt.Fprintln(h, t.name, t.columns)
		for i := range t.rows {
			for _, v := range t.row(i) {
				fmt.Fprintf(h, "%T %v\x00", v, v)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestRowsAreTheSameEachTime(t *testing.T) {
	small := Size{Seed: 7, Rows: 5_000, Files: 500}
	one, two := digest(small), digest(small)
	if one != two {
		t.Fatalf("the same size gave other rows: %s and %s", one, two)
	}
	small.Seed++
	if digest(small) == one {
		t.Fatal("another seed gave the same rows")
	}
}

func TestFingerprintTellsSizesApart(t *testing.T) {
	seen := map[string]Size{}
	for _, s := range []Size{{1, 5_000, 500}, {2, 5_000, 500}, {1, 5_001, 500}, {1, 5_000, 501}} {
		f := s.Fingerprint()
		if other, twice := seen[f]; twice || f != s.Fingerprint() {
			t.Errorf("%+v has the fingerprint of %+v, or another each time", s, other)
		}
		seen[f] = s
	}
}

func TestRowsAddUp(t *testing.T) {
	for _, rows := range []int{MinRows, 5_000, 77_777, DefaultSize.Rows} {
		s := Size{Seed: 1, Rows: rows, Files: 500}
		sum := 0
		for _, tb := range s.tables() {
			if tb.rows <= 0 {
				t.Errorf("%d rows: table %s has %d", rows, tb.name, tb.rows)
			}
			if n := len(tb.row(tb.rows - 1)); n != len(tb.columns) {
				t.Errorf("%d rows: a row of %s has %d values for %d columns", rows, tb.name, n, len(tb.columns))
			}
			sum += tb.rows
		}
		if sum != rows {
			t.Errorf("asked for %d rows, got %d", rows, sum)
		}
	}
}

// TestRowsKeepTheSchemasPromises checks what the load doesn't: it runs with foreign and unique keys off.
func TestRowsKeepTheSchemasPromises(t *testing.T) {
	s := Size{Seed: 1, Rows: 20_000, Files: 2_000}
	keys := map[string]int{ // table -> how many leading columns are its key
		"categories": 1, "products": 1, "stock": 2, "customers": 1, "addresses": 3, "orders": 1, "order_lines": 2, "payments": 1,
		"reviews": 1, "view_counters": 2, "carts": 1, "cart_lines": 2, "mails": 1, "session_log": 1,
	}
	unique := map[string][]string{"categories": {"slug"}, "products": {"sku"}, "customers": {"email"}, "orders": {"number", "token"}, "mails": {"order_number"}}
	parents := map[string]map[string]string{
		"categories": {"parent_id": "categories"}, "products": {"category_id": "categories"}, "stock": {"product_id": "products"},
		"addresses": {"customer_id": "customers"}, "orders": {"customer_id": "customers"}, "order_lines": {"order_id": "orders", "product_id": "products"},
		"payments": {"order_id": "orders"}, "reviews": {"product_id": "products", "customer_id": "customers"}, "view_counters": {"product_id": "products"},
		"carts": {"customer_id": "customers"}, "cart_lines": {"cart_id": "carts", "product_id": "products"},
	}
	ids := map[string]map[string]bool{}
	for _, tb := range s.tables() {
		ids[tb.name] = map[string]bool{}
		seen := map[string]bool{}
		for i := range tb.rows {
			row := tb.row(i)
			key := fmt.Sprint(row[:keys[tb.name]])
			if ids[tb.name][fmt.Sprint(row[0])] = true; seen[key] {
				t.Fatalf("%s: key %s twice", tb.name, key)
			}
			seen[key] = true
			for c, column := range tb.columns {
				v := row[c]
				if text, ok := v.(string); ok && !utf8.ValidString(text) {
					t.Fatalf("%s.%s row %d isn't UTF-8", tb.name, column, i)
				}
				for _, u := range unique[tb.name] {
					if u == column && v != nil {
						if k := fmt.Sprint(u, v); seen[k] {
							t.Fatalf("%s.%s has %v twice", tb.name, u, v)
						} else {
							seen[k] = true
						}
					}
				}
				if parent := parents[tb.name][column]; parent != "" && v != nil && parent != tb.name && !ids[parent][fmt.Sprint(v)] {
					t.Fatalf("%s.%s row %d points at %v, which %s lacks", tb.name, column, i, v, parent)
				}
				if column == "attributes" && !json.Valid([]byte(v.(string))) {
					t.Fatalf("products.attributes row %d isn't JSON: %s", i, v)
				}
			}
		}
	}
}

func TestSeededChecksumsHold(t *testing.T) {
	s := Size{Seed: 1, Rows: 5_000, Files: 500}
	lines := map[int][]OrderLine{}
	for i := range s.orderLines() {
		row := s.orderLine(i)
		id := row[0].(int)
		if row[1].(int) != len(lines[id])+1 {
			t.Fatalf("order %d: line %v comes after %d lines", id, row[1], len(lines[id]))
		}
		lines[id] = append(lines[id], OrderLine{row[2].(uint64), row[3].(uint64), row[4].(string)})
	}
	for i := range s.orders() {
		row := s.order(i)
		if len(lines[i+1]) == 0 {
			t.Fatalf("order %d has no lines", i+1)
		}
		want := Checksum(row[1].(string), uint64(row[3].(int)), row[5].(string), row[6].(string), lines[i+1])
		if row[7] != want {
			t.Fatalf("order %d: checksum %v, its lines give %s", i+1, row[7], want)
		}
	}
}

func TestPicturesArePictures(t *testing.T) {
	for _, size := range []int{0, 1200, 4096, 30_000, 65_536} {
		p := picture(DefaultSize.random("test", size), size)
		if size > 4096 && (len(p) > size || len(p) < size-600) {
			t.Errorf("a picture of %d bytes has %d", size, len(p))
		}
		if _, err := png.Decode(bytes.NewReader(p)); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func tree(t *testing.T, root string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var body []byte
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			body = []byte(to)
		case d.Type().IsRegular():
			if body, err = os.ReadFile(p); err != nil {
				return err
			}
		}
		fmt.Fprintf(h, "%q %v %x\n", strings.TrimPrefix(p, root), d.Type(), sha256.Sum256(body))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestFilesAreTheSameEachTime(t *testing.T) {
	s := Size{Seed: 3, Rows: 5_000, Files: 700}
	one, two := t.TempDir(), t.TempDir()
	var names, bytes int64
	for i, root := range []string{one, two} {
		err := SeedFiles(context.Background(), root, s, 1+3*i, func(n, total, b int64) {
			if i == 0 {
				names, bytes = n, b
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if names != int64(s.Files) || bytes < int64(s.Files)*25_000 {
		t.Errorf("made %d names and %d bytes of %d files", names, bytes, s.Files)
	}
	if tree(t, one) != tree(t, two) {
		t.Error("the same size gave other files")
	}
	var linked, links, empty int
	if err := filepath.WalkDir(one, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			links++
		}
		if d.IsDir() {
			entries, err := os.ReadDir(p)
			if err == nil && len(entries) == 0 {
				empty++
			}
			return err
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	a, err := os.Stat(filepath.Join(one, s.pictureAt(96)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.Stat(filepath.Join(one, s.pictureAt(97)))
	if err != nil {
		t.Fatal(err)
	}
	if os.SameFile(a, b) {
		linked++
	}
	if linked == 0 || links < 3 || empty != 1 {
		t.Errorf("want hard links, symlinks and one empty directory; got %d, %d, %d", linked, links, empty)
	}
	for p := 1; p <= s.Products(); p++ {
		if name, ok := s.imageOf(p).(string); ok {
			if body, err := os.ReadFile(filepath.Join(one, name)); err != nil || len(body) == 0 {
				t.Errorf("product %d has the picture %q, which isn't there: %v", p, name, err)
			}
		}
		if s.hasThumbnail(p) {
			if _, err := os.Stat(filepath.Join(one, fmt.Sprintf("thumbs/%02x/%d.png", p%256, p))); err != nil {
				t.Errorf("product %d has a thumbnail that isn't there: %v", p, err)
			}
		}
	}
}

func TestTooSmallIsRefused(t *testing.T) {
	for _, s := range []Size{{Rows: MinRows - 1, Files: MinFiles}, {Rows: MinRows, Files: MinFiles - 1}} {
		if err := SeedFiles(context.Background(), t.TempDir(), s, 1, func(int64, int64, int64) {}); err == nil {
			t.Errorf("%+v was seeded", s)
		}
	}
}
