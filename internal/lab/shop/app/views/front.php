<p>New in the shop:</p>
<?php require __DIR__ . '/products.php' ?>
