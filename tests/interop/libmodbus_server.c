/* A Modbus server by libmodbus, TCP with many clients or RTU: every register holds its own address, floats of all orders
 * stand from 600 on, registers from 700 on do not exist. Usage: server tcp ADDRESS PORT | server rtu TTY BAUD UNIT
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#define REGISTERS 700

static void answer(modbus_t *link, modbus_mapping_t *map, uint8_t *query, int *got)
{
    *got = modbus_receive(link, query);
    if (*got > 0)
        modbus_reply(link, query, *got, map);
}

static void serve_tcp(modbus_t *link, modbus_mapping_t *map)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    fd_set known, ready;
    int got, listener = modbus_tcp_listen(link, 5), top = listener;
    FD_ZERO(&known);
    FD_SET(listener, &known);
    puts("ready");
    fflush(stdout);
    for (;;) {
        ready = known;
        if (select(top + 1, &ready, NULL, NULL, NULL) < 0)
            return;
        for (int fd = 0; fd <= top; fd++) {
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd == listener) {
                int fresh = modbus_tcp_accept(link, &listener);
                FD_SET(fresh, &known);
                top = fresh > top ? fresh : top;
                continue;
            }
            modbus_set_socket(link, fd);
            answer(link, map, query, &got);
            if (got < 0) {
                close(fd);
                FD_CLR(fd, &known);
            }
        }
    }
}

int main(int argc, char **argv)
{
    int is_tcp = argc > 1 && strcmp(argv[1], "tcp") == 0;
    modbus_t *link = is_tcp ? modbus_new_tcp(argv[2], atoi(argv[3])) : modbus_new_rtu(argv[2], atoi(argv[3]), 'N', 8, 1);
    modbus_mapping_t *map = modbus_mapping_new(64, 64, REGISTERS, REGISTERS);
    uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];
    int got;
    for (int at = 0; at < REGISTERS; at++)
        map->tab_registers[at] = map->tab_input_registers[at] = at;
    for (int at = 0; at < 64; at++)
        map->tab_bits[at] = map->tab_input_bits[at] = at % 3 == 0;
    modbus_set_float_abcd(7.25f, map->tab_registers + 600);
    modbus_set_float_badc(7.25f, map->tab_registers + 602);
    modbus_set_float_cdab(7.25f, map->tab_registers + 604);
    modbus_set_float_dcba(7.25f, map->tab_registers + 606);
    if (is_tcp) {
        serve_tcp(link, map);
        return 1;
    }
    modbus_set_slave(link, atoi(argv[4]));
    if (modbus_connect(link) < 0) {
        fprintf(stderr, "%s\n", modbus_strerror(errno));
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        answer(link, map, query, &got);
}
