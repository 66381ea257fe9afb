<?php
declare(strict_types=1);

namespace Shop;

/** Categories and products, and what looking at them writes. */
final class Catalogue
{
    private Database $database;
    private Cache $cache;
    private Queue $queue;

    public function __construct(Database $database, Cache $cache, Queue $queue)
    {
        $this->database = $database;
        $this->cache = $cache;
        $this->queue = $queue;
    }

    public function categories(): array
    {
        return $this->cache->remember('categories', 300, fn (): array => $this->database->rows(
            'SELECT id, parent_id, slug, name FROM categories WHERE visible = 1 ORDER BY parent_id, position, id'
        ));
    }

    public function category(int $id): array
    {
        foreach ($this->categories() as $category) {
            if ((int) $category['id'] === $id) {
                return $category;
            }
        }
        throw new Refused(404, 'There is no such category.');
    }

    public function front(): array
    {
        return $this->cache->remember('front', 60, fn (): array => $this->database->rows(
            "SELECT id, name, price_gross, image_path FROM products WHERE state = 'active' AND FIND_IN_SET('new', flags) ORDER BY id DESC LIMIT 24"
        ));
    }

    public function inCategory(int $id, int $page): array
    {
        return $this->database->rows(
            "SELECT id, name, price_gross, image_path FROM products WHERE category_id = ? AND state = 'active' ORDER BY price, id LIMIT 24 OFFSET ?",
            [$id, 24 * max(0, $page - 1)]
        );
    }

    public function search(string $words): array
    {
        $terms = preg_split('/[^\p{L}\p{N}]+/u', $words, 8, PREG_SPLIT_NO_EMPTY) ?: [];
        $terms = array_filter($terms, static fn (string $t): bool => mb_strlen($t) >= 3);
        if (!$terms) {
            return [];
        }
        $expression = implode(' ', array_map(static fn (string $t): string => "+$t*", $terms));
        return $this->database->rows(
            "SELECT id, name, price_gross, image_path FROM products WHERE MATCH (name) AGAINST (? IN BOOLEAN MODE) AND state = 'active' ORDER BY id LIMIT 48",
            [$expression]
        );
    }

    public function product(int $id): array
    {
        $product = $this->database->row(
            'SELECT p.id, p.sku, p.category_id, p.name, p.description, p.attributes, p.price, p.price_gross, p.weight_kg, p.flags, p.state, p.image_path,
                    p.thumbnail IS NOT NULL AS has_thumbnail, SUM(s.quantity) AS in_stock
             FROM products p LEFT JOIN stock s ON s.product_id = p.id WHERE p.id = ? GROUP BY p.id',
            [$id]
        );
        if ($product === null || $product['state'] === 'draft') {
            throw new Refused(404, 'There is no such product.');
        }
        return $product;
    }

    public function reviews(int $product): array
    {
        return $this->database->rows(
            'SELECT r.rating, r.title, r.body, r.created_at, c.name FROM reviews r LEFT JOIN customers c ON c.id = r.customer_id
             WHERE r.product_id = ? ORDER BY r.created_at DESC, r.id DESC LIMIT 10',
            [$product]
        );
    }

    public function review(int $product, int $customer, int $rating, string $title, string $body): void
    {
        if ($rating < 1 || $rating > 5 || $title === '') {
            throw new Refused(422, 'A review needs a title and one to five stars.');
        }
        $this->product($product);
        $this->database->run(
            'INSERT INTO reviews (product_id, customer_id, rating, title, body) VALUES (?, ?, ?, ?, ?)',
            [$product, $customer, $rating, mb_substr($title, 0, 160), $body === '' ? null : $body]
        );
    }

    /** Counts a look at a product, and orders its thumbnail when it has none. A frozen database doesn't break the page. */
    public function viewed(array $product): void
    {
        try {
            $this->database->run(
                'INSERT INTO view_counters (product_id, day, views) VALUES (?, UTC_DATE(), 1) ON DUPLICATE KEY UPDATE views = views + 1',
                [(int) $product['id']]
            );
        } catch (\PDOException $e) {
            if (!Database::isReadOnly($e)) {
                throw $e;
            }
        }
        if (!$product['has_thumbnail'] && $product['image_path'] !== null && $this->cache->first('thumbnail:' . $product['id'], 300)) {
            $this->queue->offer(['type' => 'thumbnail', 'product' => (int) $product['id']]);
        }
    }
}
