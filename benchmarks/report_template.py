"""The template of `report.html`: no scripts, no files beside it."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rate-distortion report</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff; }
h2 { margin: 2em 0 .5em; font-size: 1.3em; }
img { max-width: 100%; min-width: 620px; height: auto; display: block; }
.glance { font-size: 15px; margin: 1em 0; }
.glance td:first-child, .glance th:first-child { text-align: left; }
.glance tr.ours { font-weight: 600; background: #fff3d6; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ddd; padding: 3px 9px; text-align: right; white-space: nowrap; }
.names th:nth-child(-n+3), .names td:nth-child(-n+3), .facts td,
.pictures td:first-child, .pictures th:first-child { text-align: left; }
small { display: block; color: #666; font-weight: 400; white-space: normal; max-width: 28em; }
.published td { white-space: normal; vertical-align: top; }
.published td:last-child, .published th:last-child { text-align: left; overflow-wrap: anywhere;
  min-width: 30em; }
.published th { white-space: normal; vertical-align: bottom; }
.published td:nth-child(3) { text-align: right; white-space: nowrap; }
.facts td { white-space: normal; overflow-wrap: anywhere; }
tr:nth-child(even) { background: #f6f6f6; }
</style>
</head>
<body>
<h1>Rate-distortion report</h1>
<p>{{ pictures }} picture{{ "" if pictures == 1 else "s" }}. Rates are of whole files; PSNR is of
decoded 8-bit pictures, MS-SSIM in -10 log10(1 - x) dB. Times are medians of
{{ machine.repeats }} run{{ "" if machine.repeats == 1 else "s" }}, {{ machine.threads }}
thread{{ "" if machine.threads == 1 else "s" }}, {{ machine.processes }}
process{{ "" if machine.processes == 1 else "es" }} at a time.</p>
{% if glance %}<h2>At a glance</h2>
<p>Bits at equal quality against {{ reference }}: -50 % is half of the file. Speeds are medians over
all pictures and qualities.</p>
<div class="wide"><table class="glance">
<tr><th>codec</th>
{% for label in labels.values() %}<th>bits at equal {{ label.split(',')[0] }}</th>{% endfor %}
<th>encode, megapixels/s</th><th>decode, megapixels/s</th></tr>
{% for row in glance %}<tr{% if row[0] in ours %} class="ours"{% endif %}>
{% for cell in row %}<td>{{ cell }}{% if loop.first and details[cell] %}
<small>{{ details[cell] }}</small>{% endif %}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
{% if against_avif %}<h2>Against AVIF directly</h2>
<p>Bits at equal quality; below 0 %, aecodec needs fewer than this AVIF.</p>
<div class="wide"><table class="glance names">
<tr><th>codec</th><th>against</th>
{% for label in labels.values() %}<th>bits at equal {{ label.split(',')[0] }}</th>{% endfor %}</tr>
{% for row in against_avif %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
{% if left_out %}<h2>Left out</h2><ul>{% for line in left_out %}<li>{{ line }}</li>{% endfor %}</ul>
{% endif %}
{% for title, data in images.items() %}<h2>{{ title }}</h2>
<div class="wide"><img alt="{{ title }}" src="data:image/png;base64,{{ data }}"></div>
{% endfor %}
<h2>BD-rate and BD-PSNR</h2>
<p>PCHIP through all points, over the common range of the two mean curves, which stands in the
table. Below 0 %, the first codec needs fewer bits. Gain is the mean difference at equal rate, in
the unit of the metric.</p>
<div class="wide"><table class="names">
<tr><th>metric</th><th>codec</th><th>against</th><th>BD-rate of means</th><th>over</th>
<th>gain</th><th>mean of pictures</th><th>worst picture</th></tr>
{% for r in rows %}<tr><td>{{ r.metric }}</td><td>{{ r.test }}</td><td>{{ r.anchor }}</td>
<td>{{ r.rate }}</td><td>{{ r.over }}</td><td>{{ r.gain }}</td><td>{{ r.mean }}</td>
<td>{{ r.worst }}</td></tr>
{% endfor %}</table></div>
{% if of_pictures[1] %}<h2>BD-rate of each picture</h2>
<p>RGB PSNR, against {{ reference }}, %.</p>
<div class="wide"><table class="pictures">
<tr><th>picture</th>{% for name in of_pictures[0] %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in of_pictures[1] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
<h2>Means of all points</h2>
<div class="wide"><table>
<tr><th>codec</th><th>quality</th><th>bits per pixel</th>
{% for label in labels.values() %}<th>{{ label }}</th>{% endfor %}
<th>encode, ms</th><th>decode, ms</th></tr>
{% for m in means %}<tr><td>{{ m.codec }}</td><td>{{ m.quality }}</td><td>{{ m.bpp }}</td>
{% for name in labels %}<td>{{ m[name] }}</td>{% endfor %}
<td>{{ m.encode_seconds }}</td><td>{{ m.decode_seconds }}</td></tr>
{% endfor %}</table></div>
<h2>Machine</h2>
<table class="facts">{% for name, value in machine.items() %}
<tr><td>{{ name }}</td><td>{{ value }}</td></tr>{% endfor %}</table>
{% if published %}<h2>Published, not measured here</h2>
<p>Figures as their sources give them. The third column is a published curve against
{{ reference }} of this run in RGB PSNR; with "about", a published BD-rate carried over by the
published curve of its anchor, right to one or two per cent. Times are of other machines.</p>
<div class="wide"><table class="names published">
<tr><th>codec</th><th>as published</th><th>bits against {{ reference }}</th>
<th>decoding, kMAC/pixel</th><th>decoding, ms/megapixel</th><th>source</th></tr>
{% for row in published %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% endif %}
</body>
</html>
"""
