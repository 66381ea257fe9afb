<?php require __DIR__ . '/products.php' ?>
<?php if (count($products) === 24): ?><p><a href="/category/<?= (int) $category['id'] ?>?page=<?= $page + 1 ?>">More</a></p><?php endif ?>
