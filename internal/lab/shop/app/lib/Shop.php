<?php
declare(strict_types=1);

namespace Shop;

/** The pages: from a request to a response. */
final class Shop
{
    private Config $config;
    private Database $database;
    private Cache $cache;
    private Queue $queue;
    private Session $session;
    private Catalogue $catalogue;
    private Carts $carts;
    private Customers $customers;
    private Orders $orders;

    public function __construct(Config $config)
    {
        $this->config = $config;
        $this->database = new Database($config);
        $this->cache = new Cache($config);
        $this->queue = new Queue($config);
        $this->session = new Session($config, $this->database);
        $this->catalogue = new Catalogue($this->database, $this->cache, $this->queue);
        $this->carts = new Carts($this->database, $this->session);
        $this->customers = new Customers($this->database);
        $this->orders = new Orders($this->database, $this->carts, $this->queue);
    }

    /** Answers; whatever was written to the session is kept before this returns. */
    public function answer(Request $request): Response
    {
        if ($request->path === '/health') {
            return new Response(200, "ok\n", ['Content-Type' => 'text/plain']);
        }
        if ($request->path === '/health/full') {
            return $this->health();
        }
        try {
            $this->session->resume($request);
            $response = $this->route($request);
            $this->session->save();
            return $response;
        } catch (Refused $e) {
            return $this->page($e->status, 'message', 'That did not work', ['message' => $e->getMessage()]);
        } catch (\PDOException $e) {
            if (Database::isReadOnly($e) || Database::isGone($e)) {
                return $this->unavailable($e);
            }
            throw $e;
        } catch (Unavailable | \RedisException $e) {
            return $this->unavailable($e);
        }
    }

    private function route(Request $request): Response
    {
        $parts = explode('/', trim($request->path, '/'));
        $name = $parts[0];
        $argument = $parts[1] ?? '';
        $known = ['' => 'GET', 'category' => 'GET', 'search' => 'GET', 'product' => 'GET', 'cart' => 'GET POST', 'login' => 'GET POST',
            'logout' => 'POST', 'order' => 'GET POST', 'account' => 'GET', 'review' => 'POST'];
        if (!isset($known[$name]) || count($parts) > 2) {
            throw new Refused(404, 'There is no such page.');
        }
        $method = $request->method === 'HEAD' ? 'GET' : $request->method;
        if (!in_array($method, explode(' ', $known[$name]), true)) {
            throw new Refused(405, 'That page does not take this request.');
        }
        if ($method === 'POST') {
            $this->session->start($request);
            if (!hash_equals((string) $this->session->get('csrf'), $request->field('csrf'))) {
                throw new Refused(403, 'The form has expired: load the page again.');
            }
        }
        switch ("$method $name") {
            case 'GET ':
                return $this->listing('front', 'The shop', ['products' => $this->catalogue->front()]);
            case 'GET category':
                $category = $this->catalogue->category((int) $argument);
                $page = max(1, (int) $request->query('page'));
                return $this->listing('category', $category['name'], [
                    'category' => $category, 'page' => $page, 'products' => $this->catalogue->inCategory((int) $argument, $page),
                ]);
            case 'GET search':
                $words = $request->query('q');
                return $this->page(200, 'search', 'Search', ['words' => $words, 'products' => $this->catalogue->search($words)]);
            case 'GET product':
                return $this->product($request, (int) $argument);
            case 'POST review':
                $this->catalogue->review((int) $argument, $this->customer(), (int) $request->field('rating'), $request->field('title'), $request->field('body'));
                return Response::redirect('/product/' . (int) $argument);
            case 'GET cart':
                $this->session->start($request);
                $this->carts->merge();
                return $this->page(200, 'cart', 'Your cart', ['lines' => $this->carts->lines()]);
            case 'POST cart':
                $request->field('remove') === ''
                    ? $this->carts->add((int) $request->field('product'), (int) $request->field('quantity'))
                    : $this->carts->remove((int) $request->field('remove'));
                return Response::redirect('/cart');
            case 'GET login':
                $this->session->start($request);
                return $this->page(200, 'login', 'Log in', []);
            case 'POST login':
                $customer = $this->customers->login($request->field('email'), $request->field('password'));
                $this->session->renew();
                $this->session->set('customer', (string) $customer);
                return Response::redirect('/cart');
            case 'POST logout':
                $this->session->destroy();
                return Response::redirect('/');
            case 'GET account':
                $customer = $this->customer();
                return $this->page(200, 'account', 'Your account', [
                    'customer' => $this->customers->get($customer), 'addresses' => $this->customers->addresses($customer),
                    'orders' => $this->orders->ofCustomer($customer),
                ]);
            case 'GET order':
                return $argument === '' ? $this->checkout() : $this->page(200, 'order', "Order $argument", ['order' => $this->orders->get($this->customer(), $argument)]);
            default: // POST order
                $order = $this->orders->place($this->customer(), $request->field('token'), $request->field('method'), $request->field('note'));
                return Response::redirect('/order/' . $order['number'], [
                    'X-Order-Number' => $order['number'], 'X-Order-Checksum' => $order['checksum'],
                    'X-Order-Total' => $order['total'], 'X-Order-Customer' => (string) $order['customer_id'],
                ]);
        }
    }

    private function product(Request $request, int $id): Response
    {
        $product = $this->catalogue->product($id);
        $this->session->start($request); // the form needs its token
        $this->catalogue->viewed($product);
        return $this->page(200, 'product', $product['name'], ['product' => $product, 'reviews' => $this->catalogue->reviews($id)]);
    }

    private function checkout(): Response
    {
        $customer = $this->customer();
        $this->carts->merge();
        $lines = $this->carts->lines();
        if (!$lines) {
            throw new Refused(409, 'The cart is empty.');
        }
        return $this->page(200, 'checkout', 'Order', [
            'lines' => $lines, 'addresses' => $this->customers->addresses($customer), 'token' => bin2hex(random_bytes(16)),
        ]);
    }

    private function customer(): int
    {
        $customer = $this->session->customer();
        if ($customer === null) {
            throw new Refused(401, 'Please log in first.');
        }
        return $customer;
    }

    /** A page that is the same for every visitor without a session. */
    private function listing(string $template, string $title, array $values): Response
    {
        $response = $this->page(200, $template, $title, $values);
        return $this->session->started() ? $response : $response->shared(10);
    }

    private function page(int $status, string $template, string $title, array $values): Response
    {
        return new Response($status, View::page($template, $title, $values + [
            'csrf' => $this->session->get('csrf') ?? '', 'loggedIn' => $this->session->customer() !== null,
            'categories' => $status === 200 ? $this->catalogue->categories() : [],
        ]));
    }

    private function unavailable(\Throwable $e): Response
    {
        error_log('shop: ' . $e->getMessage());
        return new Response(503, View::page('message', 'One moment, please', [
            'message' => 'The shop cannot do that right now. Nothing is lost: please try again in a minute.',
            'csrf' => '', 'loggedIn' => false, 'categories' => [],
        ]), ['Retry-After' => '30']);
    }

    private function health(): Response
    {
        $checks = [
            'database' => fn () => $this->database->row('SELECT 1 AS one'),
            'cache' => fn () => $this->cache->ping(),
            'sessions' => fn () => $this->session->ping(),
            'queue' => fn () => $this->queue->ping(),
            'assets' => function (): void {
                $names = @scandir($this->config->get('assets.path', '/srv/assets'));
                if ($names === false || count($names) === 2) { // "." and ".." alone: the volume isn't mounted
                    throw new Unavailable('there are no assets');
                }
            },
        ];
        $result = [];
        foreach ($checks as $name => $check) {
            try {
                $check();
                $result[$name] = 'ok';
            } catch (\Throwable $e) {
                error_log("shop: health: $name: " . $e->getMessage());
                $result[$name] = 'failed'; // the reason may name hosts and accounts: it is in the log
            }
        }
        return Response::json(in_array('failed', $result, true) ? 503 : 200, $result + ['php' => PHP_VERSION, 'host' => gethostname()]);
    }
}
