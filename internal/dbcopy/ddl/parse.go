package ddl

import (
	"fmt"
	"strings"
)

// Table is a CREATE TABLE, taken apart.
type Table struct {
	Name        string
	Columns     []Column
	Keys        []Key
	ForeignKeys []Constraint
	Checks      []Constraint
	Periods     []string // PERIOD FOR: their names
	options     []option
	partition   []token
}

// Column is one column's definition.
type Column struct {
	Name  string
	Type  string  // "int", "varchar": lower case, without its arguments
	typ   []token // all of the type: name, arguments, unsigned, zerofill
	attrs []attr
}

// attr is NOT NULL, DEFAULT and so on, in the order they came.
type attr struct {
	kind attrKind
	expr []token // of DEFAULT, ON UPDATE, GENERATED ALWAYS AS (with VIRTUAL or STORED), COMMENT, CHECK
}

type attrKind string

const (
	aNotNull    attrKind = "NOT NULL"
	aNull       attrKind = "NULL"
	aDefault    attrKind = "DEFAULT"
	aOnUpdate   attrKind = "ON UPDATE"
	aAuto       attrKind = "AUTO_INCREMENT"
	aGenerated  attrKind = "GENERATED ALWAYS AS"
	aComment    attrKind = "COMMENT"
	aCheck      attrKind = "CHECK"
	aInvisible  attrKind = "INVISIBLE"
	aCompressed attrKind = "COMPRESSED"
	aHistory    attrKind = "SYSTEM VERSIONING" // the column, or its absence, from the rows' history
)

// Key is an index.
type Key struct {
	Kind    string // "PRIMARY KEY", "UNIQUE KEY", "KEY", "FULLTEXT KEY", "SPATIAL KEY", "VECTOR KEY"
	Name    string // "" for the primary key
	parts   []token
	first   string // the first column
	options []token
}

// Constraint is a foreign key or a check.
type Constraint struct {
	Name string
	body []token
}

type option struct {
	name  string // upper case
	value []token
	text  []token
}

// Primary: the key is the primary key.
func (k Key) Primary() bool { return k.Kind == "PRIMARY KEY" }

type parser struct {
	ts []token
	i  int
}

func (p *parser) done() bool { return p.i >= len(p.ts) }
func (p *parser) peek() token {
	if p.done() {
		return token{kind: punct}
	}
	return p.ts[p.i]
}
func (p *parser) next() token { t := p.peek(); p.i++; return t }

// take consumes the keywords in w if all of them come next.
func (p *parser) take(w ...string) bool {
	if p.i+len(w) > len(p.ts) {
		return false
	}
	for k, s := range w {
		if t := p.ts[p.i+k]; !t.is(s) && !t.isPunct(s) {
			return false
		}
	}
	p.i += len(w)
	return true
}

// group consumes a parenthesis with all that is in it.
func (p *parser) group() ([]token, error) {
	if !p.peek().isPunct("(") {
		return nil, p.lost("a parenthesis")
	}
	depth, from := 0, p.i
	for !p.done() {
		switch t := p.next(); {
		case t.isPunct("("):
			depth++
		case t.isPunct(")"):
			if depth--; depth == 0 {
				return p.ts[from:p.i], nil
			}
		}
	}
	return nil, p.lost("the end of a parenthesis")
}

func (p *parser) lost(want string) error {
	rest := ""
	if !p.done() {
		rest = text(p.ts[p.i:min(len(p.ts), p.i+8)])
	}
	return fmt.Errorf("want %s at %q", want, rest)
}

// ParseTable reads what SHOW CREATE TABLE printed.
func ParseTable(sql string) (*Table, error) {
	ts, err := lex(sql)
	if err != nil {
		return nil, err
	}
	p := &parser{ts: ts}
	if !p.take("CREATE", "TABLE") || p.peek().kind != quotedName {
		return nil, p.lost("CREATE TABLE and a name")
	}
	t := &Table{Name: p.next().unquote()}
	items, err := p.group()
	if err != nil {
		return nil, err
	}
	for _, item := range split(items[1 : len(items)-1]) {
		if err := t.item(item); err != nil {
			return nil, err
		}
	}
	return t, t.tail(p)
}

// split cuts at the commas that are in no parenthesis.
func split(ts []token) (out [][]token) {
	depth, from := 0, 0
	for i, t := range ts {
		switch {
		case t.isPunct("("):
			depth++
		case t.isPunct(")"):
			depth--
		case t.isPunct(",") && depth == 0:
			out = append(out, ts[from:i])
			from = i + 1
		}
	}
	return append(out, ts[from:])
}

func (t *Table) item(ts []token) error {
	p := &parser{ts: ts}
	if p.peek().kind == quotedName {
		c, err := column(p)
		if err != nil {
			return fmt.Errorf("column %s: %w", Quote(c.Name), err)
		}
		t.Columns = append(t.Columns, c)
		return nil
	}
	if p.take("PERIOD", "FOR") {
		t.Periods = append(t.Periods, p.next().unquote())
		_, err := p.group()
		return err
	}
	if p.take("CONSTRAINT") {
		c := Constraint{Name: p.next().unquote()}
		switch {
		case p.take("CHECK"):
			body, err := p.group()
			if err == nil && !p.done() {
				err = p.lost("nothing more")
			}
			if err != nil {
				return fmt.Errorf("constraint %s: %w", Quote(c.Name), err)
			}
			c.body = body
			t.Checks = append(t.Checks, c)
		case p.take("FOREIGN", "KEY"):
			c.body = p.ts[p.i:]
			t.ForeignKeys = append(t.ForeignKeys, c)
		default:
			return fmt.Errorf("constraint %s: %w", Quote(c.Name), p.lost("FOREIGN KEY or CHECK"))
		}
		return nil
	}
	return t.key(p)
}

func (t *Table) key(p *parser) error {
	var k Key
	for _, kind := range []string{"PRIMARY KEY", "UNIQUE KEY", "FULLTEXT KEY", "SPATIAL KEY", "VECTOR KEY", "KEY"} {
		if p.take(strings.Fields(kind)...) {
			k.Kind = kind
			break
		}
	}
	if k.Kind == "" {
		return p.lost("a column, a key or a constraint that this program knows")
	}
	if p.peek().kind == quotedName {
		k.Name = p.next().unquote()
	}
	var err error
	if k.parts, err = p.group(); err != nil {
		return fmt.Errorf("key %s: %w", Quote(k.Name), err)
	}
	if k.parts[1].kind != quotedName {
		return fmt.Errorf("key %s: its first part is no column", Quote(k.Name))
	}
	k.first = k.parts[1].unquote()
	k.options = p.ts[p.i:]
	t.Keys = append(t.Keys, k)
	return nil
}

func column(p *parser) (Column, error) {
	c := Column{Name: p.next().unquote()}
	from := p.i
	c.Type = strings.ToLower(p.next().text)
	if p.peek().isPunct("(") {
		if _, err := p.group(); err != nil {
			return c, err
		}
	}
	if c.Type == "double" {
		p.take("PRECISION")
	}
	for p.take("UNSIGNED") || p.take("ZEROFILL") {
	}
	c.typ = p.ts[from:p.i]
	for !p.done() {
		if err := c.attr(p); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *Column) attr(p *parser) (err error) {
	add := func(k attrKind, expr []token) { c.attrs = append(c.attrs, attr{k, expr}) }
	switch {
	case p.take("CHARACTER", "SET"), p.take("COLLATE"):
		// The facts say which: a default isn't printed by every version.
		if p.peek().kind != word {
			return p.lost("a charset or collation")
		}
		p.next()
	case p.take("NOT", "NULL"):
		add(aNotNull, nil)
	case p.take("NULL"):
		add(aNull, nil)
	case p.take("AUTO_INCREMENT"):
		add(aAuto, nil)
	case p.take("INVISIBLE"):
		add(aInvisible, nil)
	case p.take("WITH", "SYSTEM", "VERSIONING"), p.take("WITHOUT", "SYSTEM", "VERSIONING"):
		add(aHistory, nil)
	case p.take("COMPRESSED"):
		add(aCompressed, nil)
	case p.take("COMMENT"):
		if p.peek().kind != str {
			return p.lost("a comment")
		}
		add(aComment, []token{p.next()})
	case p.take("CHECK"):
		var g []token
		g, err = p.group()
		add(aCheck, g)
	case p.take("DEFAULT"):
		var e []token
		e, err = p.expr()
		add(aDefault, e)
	case p.take("ON", "UPDATE"):
		var e []token
		e, err = p.expr()
		add(aOnUpdate, e)
	case p.take("GENERATED", "ALWAYS", "AS"):
		if p.take("ROW", "START") || p.take("ROW", "END") {
			add(aHistory, nil)
			return nil
		}
		from := p.i
		if _, err = p.group(); err == nil && !p.take("VIRTUAL") && !p.take("STORED") {
			err = p.lost("VIRTUAL or STORED")
		}
		add(aGenerated, p.ts[from:min(p.i, len(p.ts))])
	default:
		return p.lost("an attribute that this program knows")
	}
	return err
}

// expr consumes a default: a literal with its sign or introducer, a name with its arguments, or a parenthesis.
func (p *parser) expr() ([]token, error) {
	from := p.i
	if p.peek().isPunct("(") {
		return p.group()
	}
	if p.peek().isPunct("-") || p.peek().isPunct("+") {
		p.i++
	}
	switch t := p.next(); t.kind {
	case number, str:
	case word:
		if !p.done() && p.peek().kind == str && !p.peek().gap { // b'101', _utf8mb4'x'
			p.i++
		} else if p.peek().isPunct("(") {
			if _, err := p.group(); err != nil {
				return nil, err
			}
		}
	default:
		p.i--
		return nil, p.lost("a default")
	}
	// What goes on behind it, as in `a` || 'b', is more than this program reads.
	if t := p.peek(); !p.done() && t.kind != word {
		return nil, p.lost("the end of a default")
	}
	return p.ts[from:p.i], nil
}

// tail reads table options and the partitions behind them.
func (t *Table) tail(p *parser) error {
	for !p.done() {
		if p.peek().is("PARTITION") {
			t.partition = p.ts[p.i:]
			return nil
		}
		from := p.i
		o := option{}
		switch {
		case p.take("WITH", "SYSTEM", "VERSIONING"):
			o.name = "WITH SYSTEM VERSIONING"
		case p.take("DEFAULT", "CHARSET"):
			o.name = "DEFAULT CHARSET"
		default:
			n := p.next()
			if n.kind != word && n.kind != quotedName {
				p.i--
				return p.lost("a table option")
			}
			o.name = strings.ToUpper(n.unquote())
		}
		if p.take("=") {
			v := p.i
			if p.peek().isPunct("(") {
				if _, err := p.group(); err != nil {
					return err
				}
			} else if t := p.next(); t.kind == punct {
				p.i--
				return p.lost("a table option's value")
			}
			o.value = p.ts[v:min(p.i, len(p.ts))]
		}
		o.text = p.ts[from:min(p.i, len(p.ts))]
		t.options = append(t.options, o)
	}
	return nil
}
