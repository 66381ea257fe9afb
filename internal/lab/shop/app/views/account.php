<?php use Shop\View; ?>
<p><?= View::text($customer['name']) ?>, <?= View::text($customer['email']) ?></p>
<h2>Orders</h2>
<table>
<?php foreach ($orders as $o): ?>
<tr><td><a href="/order/<?= View::text($o['number']) ?>"><?= View::text($o['number']) ?></a></td><td><?= View::text($o['placed_at']) ?></td><td><?= View::text($o['state']) ?></td><td class="number"><?= View::text("{$o['currency']} {$o['total']}") ?></td></tr>
<?php endforeach ?>
</table>
<h2>Addresses</h2>
<?php foreach ($addresses as $a): ?>
<p><?= View::text($a['kind']) ?>: <?= View::text("{$a['street']}, {$a['postcode']} {$a['city']}, {$a['country']}") ?></p>
<?php endforeach ?>
<form action="/logout" method="post"><input type="hidden" name="csrf" value="<?= View::text($csrf) ?>"><button>Log out</button></form>
