"""Networks with a graphical model as their last layers: neighbouring answers are drawn together."""
