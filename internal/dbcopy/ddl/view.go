package ddl

import "fmt"

// View writes a view as MySQL takes it, from what SHOW CREATE VIEW printed while the view's schema was the default
// one. The body stays as it is: the target's own compiler judges it.
func View(sql string) (name, create string, rewrites []Rewrite, err error) {
	ts, err := lex(sql)
	if err != nil {
		return "", "", nil, err
	}
	p := &parser{ts: ts}
	if !p.take("CREATE") {
		return "", "", nil, p.lost("CREATE")
	}
	head, definer, security := "CREATE", "", ""
	for !p.take("VIEW") {
		switch {
		case p.take("ALGORITHM", "="):
			head += " ALGORITHM=" + p.next().text
		case p.take("DEFINER", "="):
			definer = p.next().unquote()
			if p.take("@") { // a role has no host
				definer += "@" + p.next().unquote()
			}
		case p.take("SQL", "SECURITY"):
			security = p.next().text
		default:
			return "", "", nil, p.lost("VIEW")
		}
	}
	if p.peek().kind != quotedName {
		return "", "", nil, p.lost("the view's name")
	}
	n := p.next()
	if !p.take("AS") || p.done() {
		return "", "", nil, p.lost("AS")
	}
	name = n.unquote()
	if security != "INVOKER" {
		rewrites = append(rewrites, Rewrite{RuleSecurity, "", fmt.Sprintf("SQL SECURITY %s of %s to INVOKER", security, definer)})
	}
	body := sql[p.peek().at:]
	return name, head + " SQL SECURITY INVOKER VIEW " + Quote(name) + " AS " + body, rewrites, nil
}
