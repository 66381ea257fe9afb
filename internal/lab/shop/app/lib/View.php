<?php
declare(strict_types=1);

namespace Shop;

/** Renders a template of ../views inside the layout. */
final class View
{
    public static function page(string $template, string $title, array $values): string
    {
        $body = self::render($template, $values);
        return self::render('layout', ['title' => $title, 'body' => $body] + $values);
    }

    public static function text(?string $value): string
    {
        return htmlspecialchars((string) $value, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
    }

    public static function asset(?string $path): string
    {
        return $path === null ? '/style/none.svg' : '/assets/' . implode('/', array_map('rawurlencode', explode('/', $path)));
    }

    private static function render(string $__template, array $__values): string
    {
        extract($__values, EXTR_SKIP);
        ob_start();
        require __DIR__ . "/../views/$__template.php";
        return (string) ob_get_clean();
    }
}
