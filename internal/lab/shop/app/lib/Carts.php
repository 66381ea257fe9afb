<?php
declare(strict_types=1);

namespace Shop;

/** Carts: one for a visitor without login, kept in the session by its id; one for each customer. */
final class Carts
{
    private const MOST = 99;

    private Database $database;
    private Session $session;

    public function __construct(Database $database, Session $session)
    {
        $this->database = $database;
        $this->session = $session;
    }

    public function add(int $product, int $quantity): void
    {
        if ($quantity < 1 || $quantity > self::MOST) {
            throw new Refused(422, 'A cart takes 1 to ' . self::MOST . ' of a product.');
        }
        if ($this->database->row("SELECT id FROM products WHERE id = ? AND state = 'active'", [$product]) === null) {
            throw new Refused(404, 'There is no such product.');
        }
        $this->database->transaction(function () use ($product, $quantity): void {
            $this->put($this->current(true), $product, $quantity);
        });
    }

    public function remove(int $product): void
    {
        $cart = $this->current(false);
        if ($cart !== null) {
            $this->database->run('DELETE FROM cart_lines WHERE cart_id = ? AND product_id = ?', [$cart, $product]);
        }
    }

    public function lines(): array
    {
        $cart = $this->current(false);
        return $cart === null ? [] : $this->database->rows(
            'SELECT l.product_id, l.quantity, p.name, p.price_gross, p.image_path, p.state FROM cart_lines l
             JOIN products p ON p.id = l.product_id WHERE l.cart_id = ? ORDER BY l.product_id',
            [$cart]
        );
    }

    /**
     * Moves what the visitor had put into a cart before the login into the customer's own. The first page with a
     * cart that is shown after a login does it: a GET that writes.
     */
    public function merge(): void
    {
        $customer = $this->session->customer();
        $anonymous = $this->session->get('cart');
        if ($customer === null || $anonymous === null) {
            return;
        }
        $this->database->transaction(function () use ($anonymous): void {
            $from = (string) hex2bin($anonymous);
            $lines = $this->database->rows('SELECT product_id, quantity FROM cart_lines WHERE cart_id = ? ORDER BY product_id FOR UPDATE', [$from]);
            if ($lines) {
                $to = $this->current(true);
                foreach ($lines as $line) {
                    $this->put($to, (int) $line['product_id'], (int) $line['quantity']);
                }
            }
            $this->database->run('DELETE FROM carts WHERE id = ?', [$from]); // its lines go by cascade
        });
        $this->session->set('cart', null);
    }

    /** Deletes carts past their date, at most $most; returns how many. */
    public function expire(int $most): int
    {
        return $this->database->run('DELETE FROM carts WHERE expires_at < UTC_TIMESTAMP() ORDER BY expires_at, id LIMIT ' . $most)->rowCount();
    }

    public function current(bool $make): ?string
    {
        $customer = $this->session->customer();
        if ($customer !== null) {
            $row = $this->database->row('SELECT id FROM carts WHERE customer_id = ? ORDER BY created_at, id LIMIT 1', [$customer]);
            return $row !== null ? $row['id'] : ($make ? $this->create($customer) : null);
        }
        $kept = $this->session->get('cart');
        if ($kept !== null) {
            $row = $this->database->row('SELECT id FROM carts WHERE id = ? AND customer_id IS NULL', [(string) hex2bin($kept)]);
            if ($row !== null) {
                return $row['id'];
            }
        }
        if (!$make) {
            return null;
        }
        $id = $this->create(null);
        $this->session->set('cart', bin2hex($id));
        return $id;
    }

    private function create(?int $customer): string
    {
        $id = random_bytes(16);
        $this->database->run('INSERT INTO carts (id, customer_id, expires_at) VALUES (?, ?, UTC_TIMESTAMP() + INTERVAL 30 DAY)', [$id, $customer]);
        return $id;
    }

    private function put(string $cart, int $product, int $quantity): void
    {
        $this->database->run(
            'INSERT INTO cart_lines (cart_id, product_id, quantity) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE quantity = LEAST(quantity + ?, ?)',
            [$cart, $product, $quantity, $quantity, self::MOST]
        );
    }
}
