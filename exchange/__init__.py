"""The boundary to an exchange. Knows Binance; knows neither Django nor our tables."""
