"""OAuth 2 as Bitbucket answers it: its calls, its pages, and the rules behind them."""
