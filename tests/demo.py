"""The demo market of a day, made once: drawing its two thousand days takes most of a second."""

from functools import cache

from deployments import demo_market as module

demo_market = cache(module.demo_market)
