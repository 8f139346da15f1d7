/* The network between the hosts and the node: a datagram is lost, repeated, late or damaged as its link says. */
#include <assert.h>
#include <string.h>

#include "tests/sim/peer.h"
#include "tests/sim/sim.h"
#include "tests/sim/watch.h"

struct packet {
	struct sim *sim;
	struct host *host;
	struct address far; /* the host's, as the datagram has it */
	bool to_node, damaged;
	uint32_t size;
	char *bytes; /* by itself, so that a sanitizer sees a read past its end */
};

struct host *network_host(struct sim *sim, const struct address *address)
{
	for (unsigned i = 0; i < sim->host_count; i++)
		if (address_same_host(&sim->hosts[i].address, address) && address->port >= 5060 &&
		    address->port < 5060 + PROXY_PORTS)
			return &sim->hosts[i];
	return NULL;
}

static void arrive(struct sim *sim, void *context)
{
	struct packet *packet = context;
	struct bytes datagram = { packet->bytes, packet->size };
	if (packet->to_node)
		node_datagram(sim, packet->host, &packet->far, datagram, packet->damaged);
	else if (packet->host->gate)
		packet->host->gate->arrived(packet->host->gate, datagram);
	else {
		packet->host->addressed = packet->far;
		peer_receive(sim, packet->host, datagram, packet->damaged);
	}
}

/* Bytes changed, left out at the end, or said twice. */
static void damage(struct sim *sim, struct packet *packet)
{
	uint64_t kind = sim_below(sim, SIM_NETWORK, 3);
	packet->damaged = true;
	sim->counts.damaged++;
	if (packet->to_node)
		watch_damaged(sim, (struct bytes){ packet->bytes, packet->size });
	if (kind == 0 && packet->size) {
		packet->size = (uint32_t)sim_below(sim, SIM_NETWORK, packet->size);
		char *cut = sim_alloc(sim, packet->size);
		memcpy(cut, packet->bytes, packet->size);
		packet->bytes = cut;
		return;
	}
	for (uint64_t n = 1 + sim_below(sim, SIM_NETWORK, 4); n && packet->size; n--) {
		char *at = &packet->bytes[sim_below(sim, SIM_NETWORK, packet->size)];
		uint64_t bits =
			kind == 1 ? sim_random(sim, SIM_NETWORK) : UINT64_C(1) << sim_below(sim, SIM_NETWORK, 8);
		*at = (char)((unsigned char)*at ^ (unsigned char)bits);
	}
}

static void send_one(struct sim *sim, struct host *host, const struct address *far, bool to_node, struct bytes datagram)
{
	const struct link *link = to_node ? &host->to_node : &host->from_node;
	if (link->down || sim_chance(sim, SIM_NETWORK, link->loss_ppm)) {
		sim->counts.lost++;
		watch_lost(sim, datagram, to_node);
		return;
	}
	struct packet *packet = sim_alloc(sim, sizeof *packet);
	*packet = (struct packet){ .sim = sim,
				   .host = host,
				   .far = *far,
				   .to_node = to_node,
				   .size = datagram.size,
				   .bytes = sim_alloc(sim, datagram.size) };
	memcpy(packet->bytes, datagram.at, datagram.size);
	if (sim_chance(sim, SIM_NETWORK, link->damage_ppm))
		damage(sim, packet);
	sim_at(sim, sim->now_ns + link->delay_ns + sim_below(sim, SIM_NETWORK, link->jitter_ns + 1), arrive, packet);
}

static void send(struct sim *sim, struct host *host, const struct address *far, bool to_node, struct bytes datagram)
{
	const struct link *link = to_node ? &host->to_node : &host->from_node;
	sim->counts.messages++;
	send_one(sim, host, far, to_node, datagram);
	if (sim_chance(sim, SIM_NETWORK, link->duplicate_ppm)) {
		sim->counts.duplicated++;
		send_one(sim, host, far, to_node, datagram);
	}
}

void network_to_node(struct sim *sim, struct host *host, struct bytes datagram)
{
	send(sim, host, &host->address, true, datagram);
}

void network_to_node_from(struct sim *sim, struct host *host, const struct address *source, struct bytes datagram)
{
	send(sim, host, source, true, datagram);
}

void network_from_node(struct sim *sim, const struct address *to, struct bytes datagram)
{
	struct host *host = network_host(sim, to);
	watch_out(sim, host, to, datagram);
	if (host && host->gate)
		host->gate->sent(host->gate, datagram);
	if (host)
		send(sim, host, to, false, datagram);
}
