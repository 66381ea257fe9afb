// Package freeze stops all writes to a database server, says exactly where they stopped, and lets them go on again: of the two
// MariaDB masters when the switch is made, of the MySQL when it is taken back.
//
// What a freeze changes is known before it changes anything (Look, then Want), so that whoever journals it can undo it from
// the journal alone, on a server that was restarted meanwhile, any number of times.
//
// It speaks SQL and nothing else: a server that is restarted comes back writable unless its configuration says otherwise, which is
// for whoever reaches its host.
package freeze
