<?php
declare(strict_types=1);

namespace Shop;

/** An answer that has not been sent yet. */
final class Response
{
    private int $status;
    private string $body;
    /** @var array<string,string> */
    private array $headers;

    public function __construct(int $status, string $body, array $headers = [])
    {
        $this->status = $status;
        $this->body = $body;
        $this->headers = $headers + ['Content-Type' => 'text/html; charset=utf-8', 'Cache-Control' => 'private, no-store'];
    }

    public static function redirect(string $to, array $headers = []): self
    {
        return new self(303, '', ['Location' => $to] + $headers);
    }

    public static function json(int $status, array $value): self
    {
        return new self($status, json_encode($value, JSON_THROW_ON_ERROR) . "\n", ['Content-Type' => 'application/json']);
    }

    /** The edge may keep this for some seconds: only for a page without anything of the visitor's. */
    public function shared(int $seconds): self
    {
        $this->headers['Cache-Control'] = "public, max-age=0, s-maxage=$seconds";
        return $this;
    }

    public function send(): void
    {
        http_response_code($this->status);
        foreach ($this->headers as $name => $value) {
            header("$name: $value");
        }
        header('X-Served-By: ' . gethostname());
        header('X-Content-Type-Options: nosniff');
        header('Content-Length: ' . strlen($this->body));
        echo $this->body;
    }
}
