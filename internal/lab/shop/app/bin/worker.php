<?php
declare(strict_types=1);

// The queue's worker: runs until SIGTERM, finishing the job in hand. On an error it exits non-zero after a
// second and its supervisor starts it again; the job went back to the queue. It touches the file SHOP_HEARTBEAT,
// if there is one, at least every two seconds between jobs, and for the first time when it has reached the queue.

require __DIR__ . '/../lib/autoload.php';

use Shop\Carts;
use Shop\Config;
use Shop\Database;
use Shop\Orders;
use Shop\Queue;
use Shop\Session;
use Shop\Thumbnails;

$stop = false;
$heartbeat = (string) getenv('SHOP_HEARTBEAT');
// Not asynchronously: PHP 7.4 loses a signal that arrives while an exception is on its way, and every wait
// without a job ends in one.
pcntl_async_signals(false);
foreach ([SIGTERM, SIGINT] as $signal) {
    pcntl_signal($signal, static function () use (&$stop): void {
        $stop = true;
    });
}

try {
    $config = Config::load();
    $database = new Database($config);
    $queue = new Queue($config);
    $orders = new Orders($database, new Carts($database, new Session($config, $database)), $queue);
    $thumbnails = new Thumbnails($config, $database);
    $queue->consume(static function (array $job) use ($orders, $thumbnails): bool {
        switch ($job['type'] ?? '') {
            case 'confirm':
                $done = $orders->confirm((string) ($job['order'] ?? ''));
                break;
            case 'thumbnail':
                $done = $thumbnails->make((int) ($job['product'] ?? 0));
                break;
            default:
                $done = false;
        }
        fwrite(STDERR, sprintf("%s %s %s\n", gmdate('c'), $done ? 'done' : 'dead', json_encode($job)));
        return $done;
    }, static function () use (&$stop, $heartbeat): bool {
        pcntl_signal_dispatch();
        if ($heartbeat !== '' && !touch($heartbeat)) {
            throw new RuntimeException("cannot touch $heartbeat");
        }
        return $stop;
    });
    $queue->close();
} catch (Throwable $e) {
    fwrite(STDERR, sprintf("%s error: %s at %s:%d\n", gmdate('c'), $e->getMessage(), basename($e->getFile()), $e->getLine()));
    sleep(1);
    exit(1);
}
