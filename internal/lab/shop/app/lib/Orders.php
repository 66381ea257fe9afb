<?php
declare(strict_types=1);

namespace Shop;

/** Orders. What place() returns has been committed. */
final class Orders
{
    private const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

    private Database $database;
    private Carts $carts;
    private Queue $queue;

    public function __construct(Database $database, Carts $carts, Queue $queue)
    {
        $this->database = $database;
        $this->carts = $carts;
        $this->queue = $queue;
    }

    /**
     * Makes an order of the customer's cart and returns it. $token names the visitor's wish: the same token again,
     * after a lost answer, gives the same order and not a second one.
     */
    public function place(int $customer, string $token, string $method, string $note): array
    {
        $key = preg_match('/^[0-9a-f]{32}$/', $token) ? (string) hex2bin($token) : '';
        if ($key === '' || !in_array($method, ['card', 'ideal', 'invoice'], true)) {
            throw new Refused(422, 'The order form is incomplete.');
        }
        try {
            $number = $this->database->transaction(fn (): string => $this->insert($customer, $key, $method, $note));
        } catch (\PDOException $e) {
            if (!Database::isDuplicate($e)) {
                throw $e;
            }
            $number = $this->withToken($customer, $key); // the other of two that were sent at once won
            if ($number === null) {
                throw $e;
            }
        }
        $this->queue->offer(['type' => 'confirm', 'order' => $number]);
        return $this->get($customer, $number);
    }

    public function get(int $customer, string $number): array
    {
        $order = $this->database->row(
            'SELECT id, number, customer_id, state, currency, total, checksum, placed_at, confirmed_at FROM orders WHERE number = ? AND customer_id = ?',
            [$number, $customer]
        );
        if ($order === null) {
            throw new Refused(404, 'There is no such order.');
        }
        $order['lines'] = $this->database->rows(
            'SELECT l.line_no, l.product_id, l.quantity, l.unit_price, l.line_total, p.name FROM order_lines l
             JOIN products p ON p.id = l.product_id WHERE l.order_id = ? ORDER BY l.line_no',
            [(int) $order['id']]
        );
        return $order;
    }

    public function ofCustomer(int $customer): array
    {
        return $this->database->rows(
            'SELECT number, state, currency, total, placed_at FROM orders WHERE customer_id = ? ORDER BY placed_at DESC, id DESC LIMIT 20',
            [$customer]
        );
    }

    /** Writes the confirmation mail and marks the order; doing it twice makes one mail. */
    public function confirm(string $number): bool
    {
        return $this->database->transaction(function () use ($number): bool {
            $order = $this->database->row(
                'SELECT id, customer_id, currency, total FROM orders WHERE number = ? FOR UPDATE',
                [$number]
            );
            if ($order === null) {
                return false;
            }
            $customer = $this->database->row('SELECT email, name FROM customers WHERE id = ?', [(int) $order['customer_id']]);
            $this->database->run(
                "INSERT INTO mails (order_number, kind, recipient, subject, body, headers) VALUES (?, 'confirmation', ?, ?, ?, ?) ON DUPLICATE KEY UPDATE recipient = recipient",
                [
                    $number, $customer['email'], "Your order $number 🛒",
                    "Dear {$customer['name']},\n\nthank you for your order $number of {$order['currency']} {$order['total']}.\n",
                    json_encode(['Message-ID' => "<$number@shop.example>", 'Auto-Submitted' => 'auto-generated'], JSON_THROW_ON_ERROR),
                ]
            );
            $this->database->run(
                "UPDATE orders SET state = IF(state = 'placed', 'confirmed', state), confirmed_at = UTC_TIMESTAMP() WHERE id = ? AND confirmed_at IS NULL",
                [(int) $order['id']]
            );
            return true;
        });
    }

    /** Offers orders to the queue again whose confirmation is overdue: their message may never have arrived. */
    public function remind(int $most): int
    {
        $late = $this->database->rows(
            "SELECT number FROM orders WHERE confirmed_at IS NULL AND state = 'placed' AND placed_at < UTC_TIMESTAMP() - INTERVAL 5 MINUTE ORDER BY placed_at LIMIT " . $most
        );
        foreach ($late as $row) {
            $this->queue->publish(['type' => 'confirm', 'order' => $row['number']]);
        }
        return count($late);
    }

    /** The checksum over all that the customer agreed to: internal/lab/shopper computes it from the rows alike. */
    public static function checksum(string $number, int $customer, string $currency, string $total, array $lines): string
    {
        $text = "$number\n$customer\n$currency\n$total\n";
        foreach ($lines as $i => $line) {
            $text .= ($i + 1) . "\t{$line['product_id']}\t{$line['quantity']}\t{$line['unit_price']}\n";
        }
        return hash('sha256', $text);
    }

    private function insert(int $customer, string $key, string $method, string $note): string
    {
        $known = $this->withToken($customer, $key);
        if ($known !== null) {
            return $known;
        }
        $cart = $this->carts->current(false);
        $lines = $cart === null ? [] : $this->database->rows(
            'SELECT l.product_id, l.quantity, p.price_gross AS unit_price, p.name, p.state FROM cart_lines l
             JOIN products p ON p.id = l.product_id WHERE l.cart_id = ? ORDER BY l.product_id FOR UPDATE',
            [$cart]
        );
        if (!$lines) {
            throw new Refused(409, 'The cart is empty.');
        }
        $cents = 0;
        foreach ($lines as $line) {
            $taken = $line['state'] === 'active' ? $this->database->run(
                'UPDATE stock SET quantity = quantity - ?, reserved = reserved + ? WHERE product_id = ? AND quantity >= ? ORDER BY warehouse LIMIT 1',
                [(int) $line['quantity'], (int) $line['quantity'], (int) $line['product_id'], (int) $line['quantity']]
            )->rowCount() : 0;
            if ($taken !== 1) {
                throw new Refused(409, $line['name'] . ' is sold out.');
            }
            $cents += (int) $line['quantity'] * (int) str_replace('.', '', $line['unit_price']);
        }
        $number = self::number();
        $total = sprintf('%d.%02d', intdiv($cents, 100), $cents % 100);
        $this->database->run(
            'INSERT INTO orders (number, token, customer_id, currency, total, checksum, note, placed_at) VALUES (?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(6))',
            [$number, $key, $customer, 'EUR', $total, self::checksum($number, $customer, 'EUR', $total, $lines), $note === '' ? null : $note]
        );
        $id = $this->database->lastId();
        foreach ($lines as $i => $line) {
            $this->database->run(
                'INSERT INTO order_lines (order_id, line_no, product_id, quantity, unit_price) VALUES (?, ?, ?, ?, ?)',
                [$id, $i + 1, (int) $line['product_id'], (int) $line['quantity'], $line['unit_price']]
            );
        }
        $this->database->run(
            "INSERT INTO payments (order_id, method, state, amount, reference) VALUES (?, ?, 'authorised', ?, ?)",
            [$id, $method, $total, random_bytes(12)]
        );
        $this->database->run('DELETE FROM cart_lines WHERE cart_id = ?', [$cart]);
        return $number;
    }

    private function withToken(int $customer, string $key): ?string
    {
        $row = $this->database->row('SELECT number FROM orders WHERE token = ? AND customer_id = ?', [$key, $customer]);
        return $row === null ? null : $row['number'];
    }

    /** "S" and 60 random bits: no two shops that run side by side give the same number. */
    private static function number(): string
    {
        $number = 'S';
        for ($i = 0; $i < 12; $i++) {
            $number .= self::ALPHABET[random_int(0, 31)];
        }
        return $number;
    }
}
