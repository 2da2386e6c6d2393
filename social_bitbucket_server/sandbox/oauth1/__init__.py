"""OAuth 1.0a as Bitbucket answers it: its calls, its page, and the rules behind them."""
