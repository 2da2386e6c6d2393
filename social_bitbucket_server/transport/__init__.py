"""HTTP with Bitbucket Servers, and what is in the way there. Knows no OAuth."""
