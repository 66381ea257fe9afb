<?php use Shop\View; ?>
<p class="message"><?= View::text($message) ?></p>
