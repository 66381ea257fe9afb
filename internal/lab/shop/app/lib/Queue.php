<?php
declare(strict_types=1);

namespace Shop;

use AMQPChannel;
use AMQPConnection;
use AMQPEnvelope;
use AMQPExchange;
use AMQPQueue;

/** One durable queue of jobs in RabbitMQ; a job that can't be done ends in the queue "jobs.dead". */
final class Queue
{
    private const NAME = 'jobs';
    private const DEAD = 'jobs.dead';

    private Config $config;
    private ?AMQPConnection $connection = null;
    private ?AMQPChannel $channel = null;

    public function __construct(Config $config)
    {
        $this->config = $config;
    }

    /** Returns when the broker has confirmed that it keeps the job; throws otherwise. */
    public function publish(array $job): void
    {
        $channel = $this->channel();
        $channel->confirmSelect();
        $accepted = false;
        $channel->setConfirmCallback(
            static function () use (&$accepted): bool {
                $accepted = true;
                return false;
            },
            static fn (): bool => false
        );
        $exchange = new AMQPExchange($channel);
        $exchange->publish(json_encode($job, JSON_THROW_ON_ERROR), self::NAME, AMQP_MANDATORY, ['delivery_mode' => 2, 'content_type' => 'application/json']);
        $channel->waitForConfirm(2.0);
        if (!$accepted) {
            throw new Unavailable('the queue refused a job');
        }
    }

    /**
     * Like publish, but a failure is logged and not thrown: for jobs that cron finds again in the database.
     */
    public function offer(array $job): void
    {
        try {
            $this->publish($job);
        } catch (\AMQPException | Unavailable $e) {
            error_log('shop: queue: ' . $e->getMessage());
        }
    }

    /**
     * Hands each job to $work until $stop says true: it is asked after every job and every two seconds without one.
     * $work returns true when the job is done, false when it never can be; when it throws, the job goes back.
     */
    public function consume(callable $work, callable $stop): void
    {
        $channel = $this->channel();
        $channel->setPrefetchCount(1);
        $queue = $this->queue($channel);
        $each = static function (AMQPEnvelope $envelope, AMQPQueue $queue) use ($work, $stop): bool {
            $job = json_decode($envelope->getBody(), true);
            try {
                $done = is_array($job) && $work($job);
            } catch (\Throwable $e) {
                $queue->nack($envelope->getDeliveryTag(), AMQP_REQUEUE);
                throw $e;
            }
            if ($done) {
                $queue->ack($envelope->getDeliveryTag());
            } else {
                $queue->nack($envelope->getDeliveryTag());
            }
            return !$stop();
        };
        $tag = 'shop-' . gethostname() . '-' . getmypid();
        $queue->consume(null, AMQP_NOPARAM, $tag);
        while (!$stop()) {
            try {
                $queue->consume($each, AMQP_JUST_CONSUME, $tag);
            } catch (\AMQPQueueException $e) {
                if (stripos($e->getMessage(), 'timeout') === false) {
                    throw $e;
                }
            }
        }
        $queue->cancel($tag);
    }

    public function close(): void
    {
        if ($this->connection !== null && $this->connection->isConnected()) {
            $this->connection->disconnect();
        }
        $this->connection = null;
        $this->channel = null;
    }

    /** Throws when the broker doesn't answer. */
    public function ping(): void
    {
        $this->channel();
    }

    private function queue(AMQPChannel $channel): AMQPQueue
    {
        $dead = new AMQPQueue($channel);
        $dead->setName(self::DEAD);
        $dead->setFlags(AMQP_DURABLE);
        $dead->declareQueue();
        $queue = new AMQPQueue($channel);
        $queue->setName(self::NAME);
        $queue->setFlags(AMQP_DURABLE);
        $queue->setArguments(['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => self::DEAD]);
        $queue->declareQueue();
        return $queue;
    }

    private function channel(): AMQPChannel
    {
        if ($this->channel === null) {
            $this->connection = new AMQPConnection([
                'host' => $this->config->get('queue.host'),
                'port' => (int) $this->config->get('queue.port', '5672'),
                'vhost' => $this->config->get('queue.vhost', 'shop'),
                'login' => $this->config->get('queue.user', 'shop'),
                'password' => $this->config->get('queue.password'),
                'connect_timeout' => 2.0,
                'read_timeout' => 2.0,
                'write_timeout' => 2.0,
            ]);
            $this->connection->connect();
            $this->channel = new AMQPChannel($this->connection);
            $this->queue($this->channel);
        }
        return $this->channel;
    }
}
