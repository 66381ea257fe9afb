<?php
declare(strict_types=1);

namespace Shop;

/** Customers and their addresses. */
final class Customers
{
    private Database $database;

    public function __construct(Database $database)
    {
        $this->database = $database;
    }

    /** Returns the id of the customer whose e-mail address and password these are. */
    public function login(string $email, string $password): int
    {
        $row = $this->database->row('SELECT id, password_hash FROM customers WHERE email = ?', [$email]);
        if ($row === null || !password_verify($password, $row['password_hash'])) {
            throw new Refused(401, 'Unknown e-mail address or wrong password.');
        }
        $this->database->run('UPDATE customers SET last_login = UTC_TIMESTAMP() WHERE id = ?', [(int) $row['id']]);
        return (int) $row['id'];
    }

    public function get(int $id): array
    {
        $row = $this->database->row('SELECT id, email, name, balance, locale, created_at, last_login FROM customers WHERE id = ?', [$id]);
        if ($row === null) {
            throw new Refused(404, 'There is no such customer.');
        }
        return $row;
    }

    public function addresses(int $id): array
    {
        return $this->database->rows('SELECT kind, seq, street, postcode, city, country FROM addresses WHERE customer_id = ? ORDER BY kind, seq', [$id]);
    }
}
