<?php use Shop\View; ?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title><?= View::text($title) ?></title>
<link rel="stylesheet" href="/style/shop.css">
</head>
<body>
<header>
<a href="/">The shop</a> <a href="/cart">Cart</a> <a href="/<?= $loggedIn ? 'account' : 'login' ?>"><?= $loggedIn ? 'Account' : 'Log in' ?></a>
<form action="/search" method="get" role="search"><input name="q" aria-label="Search"> <button>Search</button></form>
<nav><?php foreach ($categories as $c): if ($c['parent_id'] === null): ?><a href="/category/<?= (int) $c['id'] ?>"><?= View::text($c['name']) ?></a> <?php endif; endforeach ?></nav>
</header>
<main>
<h1><?= View::text($title) ?></h1>
<?= $body ?>
</main>
<footer>shop.example</footer>
</body>
</html>
