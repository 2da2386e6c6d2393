"""HTTP with Bitbucket Servers: the only room that speaks it.

It resolves names, checks addresses, certificates and deadlines, and keeps one organization from holding up another. It
knows no OAuth; what an answer means is decided in ``oauth``.
"""

# What is imported under its own name is for the other rooms; ``__all__`` is for applications.
from .addresses import PUBLIC_ONLY, AddressPolicy, Network
from .addresses import Address as Address
from .bulkhead import BEGIN as BEGIN
from .bulkhead import CALLBACK as CALLBACK
from .bulkhead import WHOLE as WHOLE
from .bulkhead import Budget as Budget
from .bulkhead import Limits
from .bulkhead import Share as Share
from .ca_certificates import read_ca_certificates
from .certificates import UNREADABLE as UNREADABLE
from .certificates import ends_of as ends_of
from .client_certificates import ClientCertificate, read_client_certificate
from .connection_errors import ConnectionWentStale as ConnectionWentStale
from .connections import refuse_unusable_proxy as refuse_unusable_proxy
from .exchange import Answer as Answer
from .exchange import Route as Route
from .interceptions import interception as interception
from .interceptions import is_bitbuckets_own as is_bitbuckets_own
from .interceptions import is_intercepted as is_intercepted
from .interceptions import unavailability as unavailability
from .reaching import connect as connect
from .tls_check import ShownCertificate as ShownCertificate
from .tls_check import diagnose as diagnose
from .tls_check import served_chain as served_chain
from .tls_check import shown as shown
from .transport import DOCUMENT_LIMIT as DOCUMENT_LIMIT
from .transport import TOKEN_LIMIT as TOKEN_LIMIT
from .transport import Clocks as Clocks
from .transport import Method as Method
from .transport import Transport as Transport
from .transport import default_transport as default_transport
from .transport import use_transport as use_transport
from .trust import ssl_context as ssl_context

__all__ = [
    "PUBLIC_ONLY",
    "AddressPolicy",
    "ClientCertificate",
    "Limits",
    "Network",
    "read_ca_certificates",
    "read_client_certificate",
]
