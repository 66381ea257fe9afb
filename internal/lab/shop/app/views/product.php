<?php use Shop\View; use Shop\Thumbnails; ?>
<p><img class="picture" src="<?= View::text(View::asset($product['image_path'])) ?>" alt="">
<?php if ($product['has_thumbnail']): ?><img src="<?= View::text(View::asset(Thumbnails::path((int) $product['id']))) ?>" alt="" width="80"><?php endif ?></p>
<p class="description"><?= View::text($product['description']) ?></p>
<table>
<tr><th>Article</th><td class="sku"><?= View::text($product['sku']) ?></td></tr>
<tr><th>Price</th><td class="price">€ <?= View::text($product['price_gross']) ?></td></tr>
<tr><th>In stock</th><td><?= (int) $product['in_stock'] ?></td></tr>
<?php if ($product['weight_kg'] !== null): ?><tr><th>Weight</th><td><?= View::text((string) $product['weight_kg']) ?> kg</td></tr><?php endif ?>
<?php foreach (json_decode($product['attributes'], true) ?: [] as $k => $v): ?><tr><th><?= View::text((string) $k) ?></th><td><?= View::text(is_scalar($v) ? (string) $v : json_encode($v)) ?></td></tr>
<?php endforeach ?>
</table>
<form action="/cart" method="post">
<input type="hidden" name="csrf" value="<?= View::text($csrf) ?>">
<input type="hidden" name="product" value="<?= (int) $product['id'] ?>">
<label>How many <input name="quantity" value="1" size="2"></label>
<button>Into the cart</button>
</form>
<h2>Reviews</h2>
<?php foreach ($reviews as $r): ?>
<h3><?= str_repeat('★', (int) $r['rating']) ?> <?= View::text($r['title']) ?></h3>
<p><?= View::text($r['body']) ?></p>
<p><?= View::text($r['name'] ?? 'a former customer') ?>, <?= View::text($r['created_at']) ?></p>
<?php endforeach ?>
<?php if ($loggedIn): ?>
<form action="/review/<?= (int) $product['id'] ?>" method="post">
<input type="hidden" name="csrf" value="<?= View::text($csrf) ?>">
<label>Stars <input name="rating" value="5" size="1"></label>
<label>Title <input name="title"></label>
<label>Review <textarea name="body"></textarea></label>
<button>Send</button>
</form>
<?php endif ?>
