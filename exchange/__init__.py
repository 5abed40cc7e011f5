"""The boundary to an exchange: what may be asked, answered and refused. Only ``exchange.binance`` knows Binance; nothing here knows Django or our tables."""
