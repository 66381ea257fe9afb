<?php use Shop\View; ?>
<?php if (!$lines): ?><p>Your cart is empty.</p><?php else: ?>
<table>
<?php foreach ($lines as $l): ?>
<tr><td><?= View::text($l['name']) ?></td><td class="number"><?= (int) $l['quantity'] ?></td><td class="number">€ <?= View::text($l['price_gross']) ?></td>
<td><form action="/cart" method="post"><input type="hidden" name="csrf" value="<?= View::text($csrf) ?>"><input type="hidden" name="remove" value="<?= (int) $l['product_id'] ?>"><button>Remove</button></form></td></tr>
<?php endforeach ?>
</table>
<p><a href="/<?= $loggedIn ? 'order' : 'login' ?>">Order</a></p>
<?php endif ?>
