from django.contrib.auth.models import User
from django.test import Client, TestCase

from social_bitbucket_server.django import integrations
from social_bitbucket_server.django.models import Integration
from social_bitbucket_server.sandbox import Sandbox


class OrganizationsTest(TestCase):
    """Two organizations whose servers both number their users from 1."""

    def setUp(self) -> None:
        self.acme_server = self.enterContext(Sandbox(context="/bitbucket"))
        self.globex_server = self.enterContext(Sandbox())
        self.make("acme", self.acme_server)
        self.make("globex", self.globex_server)

    def make(self, slug: str, server: Sandbox) -> None:
        """Create an integration as the administration does, and link it as the Bitbucket admin does by worksheet."""
        integration = Integration(name=slug.title(), slug=slug, base_url=server.url)
        integration.full_clean()
        integrations.create(integration)
        key_pair = integration.active_key_pair
        assert key_pair is not None
        server.link(consumer_key=integration.consumer_key, public_key=key_pair.public_pem)

    def test_jane_logs_in_by_her_organizations_login_link(self) -> None:
        answer = self.acme_server.login(self.client, "jane", page="/login/bitbucket-server/acme/")
        self.assertRedirects(answer, "/", status_code=303)
        self.assertContains(self.client.get("/"), "Hello jane")

    def test_the_janes_of_two_organizations_are_two_people(self) -> None:
        self.acme_server.login(Client(), "jane", page="/login/bitbucket-server/acme/")
        self.globex_server.login(Client(), "jane", page="/login/bitbucket-server/globex/")
        self.assertEqual(User.objects.count(), 2)

    def test_whoever_logged_in_by_a_disabled_integration_is_logged_out(self) -> None:
        self.acme_server.login(self.client, "jane", page="/login/bitbucket-server/acme/")
        integrations.enable(Integration.objects.get(slug="acme"), enabled=False)
        self.assertNotContains(self.client.get("/"), "Hello")
