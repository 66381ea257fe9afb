package ddl

import (
	"fmt"
	"slices"
	"strings"
)

// Rule names one way in which a definition is changed. Names are printed and part of the JSON output.
type Rule string

// The rules. What each does is in docs/database.md.
const (
	RuleDefault    Rule = "default-in-parentheses" // MySQL wants them around an expression, and around a TEXT's or BLOB's literal
	RuleCompressed Rule = "column-compression"     // dropped: MySQL has none
	RuleOption     Rule = "table-option"           // MariaDB's own table option, dropped
	RuleIgnored    Rule = "ignored-index"          // IGNORED is INVISIBLE in MySQL
	RuleCheckName  Rule = "check-name"             // unique in the table for MariaDB, in the schema for MySQL
	RuleCollation  Rule = "collation"              // to the nearest that the target has
	RuleType       Rule = "type"                   // UUID, INET4, INET6 to characters
	RuleSecurity   Rule = "view-security"          // DEFINER to INVOKER: the definer isn't an account of the target
	RuleRowFormat  Rule = "row-format"             // to DYNAMIC, which takes the longest keys
)

// Rewrite is one thing that was changed.
type Rewrite struct {
	Rule Rule
	Part string // the column, key or check that it is in; "": the table's or view's own
	What string
}

// Refusal is one thing that can't be carried.
type Refusal struct {
	Check string // a row of the table in docs/database.md
	Part  string // as in Rewrite
	What  string
	Fix   string // what to do at the source; may be ""
	// Follow: it can be copied, but writes to it can't be followed. The output is good then.
	Follow bool
}

// Facts are what SHOW CREATE TABLE leaves unsaid: a default collation isn't printed by every version, and the two
// servers' defaults differ.
type Facts struct {
	Collation string            // the table's
	Columns   map[string]string // a column's collation by its name; "" or absent: it has none
}

// Output is a table as MySQL takes it.
type Output struct {
	Name        string
	Keys        []Clause // all but the primary key (and what AUTO_INCREMENT needs)
	ForeignKeys []Clause // to be added when all tables have their keys
	Moved       []string // columns whose collation is another now, so their order may be another

	items []string
	tail  string
}

// Create is the CREATE TABLE, with the keys or without, and without the foreign keys: a server tells of an error in one at
// whichever table comes last. The session's default schema is the table's.
func (o Output) Create(keys bool) string {
	items := slices.Clone(o.items)
	if keys {
		for _, c := range o.Keys {
			items = append(items, c.SQL)
		}
	}
	return "CREATE TABLE " + Quote(o.Name) + " (\n  " + strings.Join(items, ",\n  ") + "\n)" + o.tail
}

// Clause is one key: in a CREATE TABLE, or behind ADD in an ALTER TABLE.
type Clause struct {
	Name  string
	SQL   string
	Alone bool // MySQL builds one full-text or spatial index at a time
}

// Rewriter writes the tables of one target. It remembers the names given out, so use one for all tables of a schema.
type Rewriter struct {
	has   func(collation string) bool
	names map[string]bool
}

// NewRewriter makes one for a target that has the given collations; nil: what MySQL 9 has, as far as is known here.
func NewRewriter(has func(collation string) bool) *Rewriter {
	if has == nil {
		has = func(c string) bool {
			return !strings.Contains(c, "uca1400") && !strings.Contains(c, "nopad") && !strings.HasPrefix(c, "utf8_")
		}
	}
	return &Rewriter{has: has, names: map[string]bool{}}
}

// types are the column types that both servers have with one meaning.
var types = strings.Fields(`tinyint smallint mediumint int bigint decimal float double bit year date datetime timestamp time
	char varchar binary varbinary tinytext text mediumtext longtext tinyblob blob mediumblob longblob enum set
	geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection`)

// textual are the types that MariaDB has and MySQL holds as characters: as many as the longest has.
var textual = map[string]int{"uuid": 36, "inet6": 39, "inet4": 15}

// literalNeedsParentheses: MySQL takes a literal as a default of these types as an expression only.
var literalNeedsParentheses = strings.Fields(`tinytext text mediumtext longtext tinyblob blob mediumblob longblob
	geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection`)

// pass collects what a table's rewriting did.
type pass struct {
	r        *Rewriter
	table    string
	facts    Facts
	out      Output
	rewrites []Rewrite
	refusals []Refusal
}

func (p *pass) changed(r Rule, part, f string, a ...any) {
	p.rewrites = append(p.rewrites, Rewrite{r, part, fmt.Sprintf(f, a...)})
}

func (p *pass) refuse(check, part, fix, f string, a ...any) {
	p.refusals = append(p.refusals, Refusal{Check: check, Part: part, What: fmt.Sprintf(f, a...), Fix: fix})
}

// Table writes one table. With refusals other than of the follow, the output is nothing to go on with.
func (r *Rewriter) Table(t *Table, f Facts) (Output, []Rewrite, []Refusal) {
	p := &pass{r: r, table: t.Name, facts: f, out: Output{Name: t.Name}}
	var items []string
	for _, c := range t.Columns {
		items = append(items, p.column(c))
	}
	for _, name := range t.Periods {
		p.refuse("history", name, "ALTER TABLE "+Quote(t.Name)+" DROP PERIOD FOR "+Quote(name), "a PERIOD, which MySQL doesn't have")
	}
	auto := t.autoIncrement()
	if auto != "" && !slices.ContainsFunc(t.Keys, func(k Key) bool { return k.first == auto }) {
		p.refuse("auto-increment-key", auto, "ALTER TABLE "+Quote(t.Name)+" ADD KEY ("+Quote(auto)+")", "AUTO_INCREMENT that begins no key, and so counts for each value of the key's first column: InnoDB has no such thing")
	}
	for _, k := range t.Keys {
		def := p.key(k)
		switch {
		case k.Primary(), auto != "" && k.first == auto && !t.primaryBegins(auto):
			items = append(items, def)
			if !k.Primary() {
				auto = "" // one such key is enough
			}
		default:
			p.out.Keys = append(p.out.Keys, Clause{k.Name, def, k.Kind == "FULLTEXT KEY" || k.Kind == "SPATIAL KEY"})
		}
	}
	for _, c := range t.Checks {
		items = append(items, "CONSTRAINT "+Quote(p.checkName(c.Name))+" CHECK "+text(c.body))
	}
	for _, c := range t.ForeignKeys {
		p.out.ForeignKeys = append(p.out.ForeignKeys, Clause{Name: c.Name, SQL: "CONSTRAINT " + Quote(c.Name) + " FOREIGN KEY " + text(c.body)})
	}
	p.out.items, p.out.tail = items, p.options(t.options)
	if len(t.partition) > 0 {
		p.partition(t.partition)
		p.out.tail += "\n" + text(t.partition)
	}
	return p.out, p.rewrites, p.refusals
}

func (t *Table) autoIncrement() string {
	for _, c := range t.Columns {
		if slices.ContainsFunc(c.attrs, func(a attr) bool { return a.kind == aAuto }) {
			return c.Name
		}
	}
	return ""
}

func (t *Table) primaryBegins(column string) bool {
	return slices.ContainsFunc(t.Keys, func(k Key) bool { return k.Primary() && k.first == column })
}

func (p *pass) column(c Column) string {
	def := Quote(c.Name) + " " + p.columnType(c)
	// A reference column of the version history has no attribute here; the option behind the table names it.
	for _, a := range c.attrs {
		switch a.kind {
		case aCompressed:
			p.changed(RuleCompressed, c.Name, "COMPRESSED dropped")
			p.refusals = append(p.refusals, Refusal{Check: "column-compression", Part: c.Name, Follow: true, What: "the binary log has the column's values compressed, and they can't be read there",
				Fix: "ALTER TABLE " + Quote(p.table) + " MODIFY " + Quote(c.Name) + " " + text(c.typ) + ", with its other attributes and without COMPRESSED"})
		case aHistory:
			p.refuse("history", c.Name, "ALTER TABLE "+Quote(p.table)+" DROP SYSTEM VERSIONING", "the column is part of the rows' history, which MySQL can't keep")
		case aDefault:
			def += " DEFAULT " + p.defaultOf(c, a.expr)
		case aGenerated, aOnUpdate, aComment, aCheck:
			def += " " + string(a.kind) + " " + text(a.expr)
		default:
			def += " " + string(a.kind)
		}
	}
	return def
}

func (p *pass) columnType(c Column) string {
	if n, ok := textual[c.Type]; ok {
		p.changed(RuleType, c.Name, "%s to VARCHAR(%d) of ASCII", strings.ToUpper(c.Type), n)
		p.out.Moved = append(p.out.Moved, c.Name)
		return fmt.Sprintf("varchar(%d) CHARACTER SET ascii COLLATE ascii_general_ci", n)
	}
	if !slices.Contains(types, c.Type) {
		p.refuse("type", c.Name, "", "the type %s has no counterpart that this program knows", strings.ToUpper(c.Type))
	}
	if c.Type == "year" && len(c.typ) > 2 && c.typ[2].text == "2" {
		p.refuse("type", c.Name, "ALTER TABLE "+Quote(p.table)+" MODIFY "+Quote(c.Name)+" YEAR(4)", "MySQL has no YEAR(2)")
	}
	if c.Type == "decimal" && len(c.typ) > 4 && len(c.typ[4].text) == 2 && c.typ[4].text > "30" {
		p.refuse("decimal-scale", c.Name, "ALTER TABLE "+Quote(p.table)+" MODIFY "+Quote(c.Name)+" DECIMAL(M,30), if no value needs more", "MySQL keeps at most 30 digits behind the point, this column %s", c.typ[4].text)
	}
	def := text(c.typ)
	if from := p.facts.Columns[c.Name]; from != "" && c.Type != "binary" && c.Type != "varbinary" {
		def += " " + p.collation(c.Name, from, "CHARACTER SET ", "COLLATE ")
	}
	return def
}

// collation names charset and collation in full: what a server leaves out means another on the other.
func (p *pass) collation(column, from, charset, collate string) string {
	to, ok := p.r.collation(from)
	switch {
	case !ok:
		p.refuse("collation", column, "", "the target has no collation %s and none close to it", from)
	case to != from && !strings.HasPrefix(from, "utf8_"): // utf8_ is another name for utf8mb3_, and no change
		pads := ""
		if !strings.Contains(from, "nopad") && strings.Contains(to, "_0900_") {
			pads = "; there, blanks at the end count"
		}
		p.changed(RuleCollation, column, "%s to %s%s", from, to, pads)
		if column != "" {
			p.out.Moved = append(p.out.Moved, column)
		}
	}
	cs, _, _ := strings.Cut(to, "_")
	return charset + cs + " " + collate + to
}

// nearest are MariaDB's collations that have a close one in MySQL: the same sensitivities over a newer Unicode.
var nearest = map[string]string{
	"utf8mb4_uca1400_ai_ci": "utf8mb4_0900_ai_ci",
	"utf8mb4_uca1400_as_ci": "utf8mb4_0900_as_ci",
	"utf8mb4_uca1400_as_cs": "utf8mb4_0900_as_cs",
	"utf8mb4_nopad_bin":     "utf8mb4_0900_bin",

	"utf8mb4_uca1400_nopad_ai_ci":  "utf8mb4_0900_ai_ci",
	"utf8mb4_uca1400_nopad_as_ci":  "utf8mb4_0900_as_ci",
	"utf8mb4_uca1400_nopad_as_cs":  "utf8mb4_0900_as_cs",
	"utf8mb4_general_nopad_ci":     "utf8mb4_0900_ai_ci",
	"utf8mb4_unicode_nopad_ci":     "utf8mb4_0900_ai_ci",
	"utf8mb4_unicode_520_nopad_ci": "utf8mb4_0900_ai_ci",
}

// Nearest is the collation of a target that has the given ones (nil: what MySQL 9 has) that is used for one of the source's: the same, or
// the nearest.
func Nearest(from string, has func(collation string) bool) (string, bool) {
	return NewRewriter(has).collation(from)
}

func (r *Rewriter) collation(from string) (string, bool) {
	if rest, ok := strings.CutPrefix(from, "utf8_"); ok {
		from = "utf8mb3_" + rest
	}
	if r.has(from) {
		return from, true
	}
	to, ok := nearest[from]
	if cs, rest, _ := strings.Cut(from, "_"); !ok && rest == "uca1400_ai_ci" {
		to, ok = cs+"_unicode_520_ci", true // the newest that MySQL has for the other Unicode charsets
	}
	return to, ok && r.has(to)
}

func (p *pass) defaultOf(c Column, e []token) string {
	def := text(e)
	literal, null := isLiteral(e)
	switch {
	case null, e[0].isPunct("("):
		return def
	case slices.ContainsFunc(e, func(t token) bool { return t.is("nextval") || t.is("lastval") }):
		p.refuse("sequence", c.Name, "ALTER TABLE "+Quote(p.table)+" MODIFY "+Quote(c.Name)+" ... AUTO_INCREMENT", "its default takes numbers from a sequence, which MySQL doesn't have")
		return def
	case literal && !slices.Contains(literalNeedsParentheses, c.Type):
		return def
	case e[0].is("current_timestamp") && (c.Type == "timestamp" || c.Type == "datetime"):
		return def
	}
	p.changed(RuleDefault, c.Name, "DEFAULT (%s)", def)
	return "(" + def + ")"
}

func isLiteral(e []token) (literal, null bool) {
	if e[0].isPunct("-") || e[0].isPunct("+") {
		e = e[1:]
	}
	switch {
	case len(e) == 1 && e[0].is("NULL"):
		return true, true
	case len(e) == 1:
		return e[0].kind == number || e[0].kind == str || e[0].is("TRUE") || e[0].is("FALSE"), false
	case len(e) == 2: // b'101', _utf8mb4'x'
		return e[0].kind == word && e[1].kind == str, false
	}
	return false, false
}

func (p *pass) key(k Key) string {
	def := k.Kind
	if k.Name != "" {
		def += " " + Quote(k.Name)
	}
	def += " " + text(k.parts)
	parts := split(k.parts[1 : len(k.parts)-1])
	switch {
	case k.Kind == "VECTOR KEY":
		p.refuse("type", k.Name, "ALTER TABLE "+Quote(p.table)+" DROP KEY "+Quote(k.Name), "a vector index, which MySQL doesn't have")
		return def
	case len(parts) > mostParts:
		p.refuse("key-parts", k.Name, "", "it has %d columns, and a key in MySQL at most %d", len(parts), mostParts)
	case slices.ContainsFunc(parts, func(ts []token) bool { return ts[len(ts)-1].is("OVERLAPS") }):
		p.refuse("history", k.Name, "ALTER TABLE "+Quote(p.table)+" DROP KEY "+Quote(k.Name), "WITHOUT OVERLAPS, which MySQL doesn't have")
	}
	o := &parser{ts: k.options}
	for !o.done() {
		from := o.i
		switch {
		case o.take("USING", "BTREE"), o.take("INVISIBLE"):
		case o.take("USING", "HASH"):
			p.refuse("hash-key", k.Name, p.overHash(k), "a unique key over a hash (MariaDB makes one when a column is longer than a key may be): MySQL has none")
		case o.take("COMMENT"):
			o.next()
		case o.take("IGNORED"):
			p.changed(RuleIgnored, k.Name, "IGNORED to INVISIBLE")
			def += " INVISIBLE"
			continue
		case o.take("WITH", "PARSER"):
			o.next()
		case o.take("KEY_BLOCK_SIZE", "="):
			o.next()
		default:
			p.refuse("option", k.Name, "", "an index option that this program doesn't know: %s", text(o.ts[o.i:]))
			return def
		}
		def += " " + text(o.ts[from:min(o.i, len(o.ts))])
	}
	return def
}

// mostParts is how many columns a key has at most in MySQL; MariaDB takes 32.
const mostParts = 16

// overHash is the statement that makes a unique key over a hash one that MySQL has too; "" if it has more than one column.
func (p *pass) overHash(k Key) string {
	if len(split(k.parts[1:len(k.parts)-1])) != 1 {
		return ""
	}
	hash := Quote(cut(k.first, 59) + "_hash")
	return fmt.Sprintf("ALTER TABLE %s DROP KEY %s, ADD %s BINARY(32) AS (UNHEX(SHA2(%s, 256))) STORED, ADD UNIQUE KEY %s (%s), which tells values apart by their bytes",
		Quote(p.table), Quote(k.Name), hash, Quote(k.first), Quote(k.Name), hash)
}

// partition refuses what MySQL has no partitions by; its compiler judges the rest.
func (p *pass) partition(ts []token) {
	for i, t := range ts {
		switch {
		case t.is("SYSTEM_TIME"):
			p.refuse("partition", "", "ALTER TABLE "+Quote(p.table)+" REMOVE PARTITIONING", "it is partitioned by its rows' history, which MySQL can't")
		case t.is("DEFAULT") && i >= 2 && ts[i-2].is("PARTITION"), t.is("DEFAULT") && i >= 2 && ts[i-1].isPunct("(") && ts[i-2].is("IN"):
			p.refuse("partition", "", "ALTER TABLE "+Quote(p.table)+" REORGANIZE PARTITION ... INTO partitions that list their values", "it has a DEFAULT partition, which MySQL doesn't have")
		}
	}
}

// checkName gives the name itself the first time, and one made of the table's name after that.
func (p *pass) checkName(was string) string {
	to := was
	for i := 1; p.r.names[strings.ToLower(to)]; i++ {
		to = cut(p.table, 64-len(was)-8) + "_" + was // 64 characters is the longest name in MySQL
		if i > 1 {
			to = fmt.Sprintf("%s_%d", to, i)
		}
	}
	p.r.names[strings.ToLower(to)] = true
	if to != was {
		p.changed(RuleCheckName, was, "CHECK named %s", to)
	}
	return to
}

// cut shortens to at most n bytes, at a character's end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:max(n, 0)]
}

// kept are the table options that mean the same in both servers, or nothing.
var kept = strings.Fields(`ENGINE AUTO_INCREMENT COMMENT STATS_PERSISTENT STATS_AUTO_RECALC STATS_SAMPLE_PAGES
	AVG_ROW_LENGTH MAX_ROWS MIN_ROWS CHECKSUM DELAY_KEY_WRITE PACK_KEYS`)

// dropped are MariaDB's own, which say how pages lie on its disk.
var dropped = strings.Fields(`PAGE_CHECKSUM TRANSACTIONAL PAGE_COMPRESSED PAGE_COMPRESSION_LEVEL ENCRYPTED ENCRYPTION_KEY_ID`)

// elsewhere are MariaDB's engines whose rows lie on other servers, or in a form that InnoDB can't take over as it is.
var elsewhere = strings.Fields(`SPIDER COLUMNSTORE CONNECT S3 OQGRAPH FEDERATED FEDERATEDX SPHINX MRG_MYISAM CSV BLACKHOLE ARCHIVE MROONGA`)

func (p *pass) engine(name string) {
	if slices.Contains(elsewhere, strings.ToUpper(name)) {
		p.refuse("engine", "", "", "its engine is %s, whose rows aren't InnoDB's to take over: leave the table out, or make an InnoDB table of it", name)
		return
	}
	p.refuse("engine", "", "ALTER TABLE "+Quote(p.table)+" ENGINE=InnoDB", "its engine is %s: it can't be read consistently while the shop writes", name)
}

func (p *pass) options(os []option) string {
	def := ""
	for _, o := range os {
		switch {
		case o.name == "DEFAULT CHARSET" || o.name == "COLLATE": // from the facts, below
		case o.name == "WITH SYSTEM VERSIONING":
			p.refuse("history", "", "ALTER TABLE "+Quote(p.table)+" DROP SYSTEM VERSIONING", "the table keeps its rows' history, which MySQL can't")
		case o.name == "ENGINE" && (len(o.value) != 1 || !o.value[0].is("InnoDB")):
			p.engine(text(o.value))
		case o.name == "ROW_FORMAT" && len(o.value) == 1 && o.value[0].is("DYNAMIC"):
			def += " " + text(o.text)
		case o.name == "ROW_FORMAT":
			p.changed(RuleRowFormat, "", "%s to DYNAMIC", text(o.value))
			def += " ROW_FORMAT=DYNAMIC"
		case o.name == "KEY_BLOCK_SIZE":
			p.changed(RuleRowFormat, "", "%s dropped, with the compression that it is for", text(o.text))
		case slices.Contains(kept, o.name):
			def += " " + text(o.text)
		case slices.Contains(dropped, o.name):
			p.changed(RuleOption, "", "%s dropped", text(o.text))
		default:
			p.refuse("option", "", "", "a table option that this program doesn't know: %s", text(o.text))
		}
	}
	if p.facts.Collation == "" {
		p.refuse("collation", "", "", "its collation isn't known")
		return def
	}
	return def + " " + p.collation("", p.facts.Collation, "DEFAULT CHARSET=", "COLLATE=")
}
