// SPDX-License-Identifier: GPL-2.0-only
/*
 * The console: a 16550A whose line is stdin and stdout. It sends at once, so its
 * transmitter is always empty; what it receives waits until the guest reads it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <linux/serial_reg.h>

#include "vmm.h"

#define FIFO_SIZE	16
#define LEAVE		0x1d		/* ^], as telnet has it */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t room;
	u8 fifo[FIFO_SIZE];
	unsigned int received;
	bool sent;			/* an interrupt for it is due */
	u8 ier, lcr, mcr, scr, divisor[2];
	bool fifo_on;
} uart = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.room = PTHREAD_COND_INITIALIZER,
};

static struct termios terminal;

static u8 cause(void)
{
	if (uart.ier & UART_IER_RDI && uart.received)
		return UART_IIR_RDI;
	if (uart.ier & UART_IER_THRI && uart.sent)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_irq(void)
{
	irq_line(SERIAL_IRQ, cause() != UART_IIR_NO_INT);
}

static void send(u8 byte)
{
	/* Whoever closed stdout does not want to see it. */
	if (write(STDOUT_FILENO, &byte, 1) != 1)
		return;
}

static u8 receive(void)
{
	u8 byte = uart.fifo[0];

	if (uart.received) {
		memmove(uart.fifo, uart.fifo + 1, --uart.received);
		pthread_cond_signal(&uart.room);
	}
	return byte;
}

static u8 read_register(u16 reg)
{
	u8 value;

	switch (reg) {
	case UART_RX:
		return uart.lcr & UART_LCR_DLAB ? uart.divisor[0] : receive();
	case UART_IER:
		return uart.lcr & UART_LCR_DLAB ? uart.divisor[1] : uart.ier;
	case UART_IIR:
		value = cause();
		if (value == UART_IIR_THRI)
			uart.sent = false;
		return value | (uart.fifo_on ? UART_IIR_FIFO_ENABLED_16550A : 0);
	case UART_LCR:
		return uart.lcr;
	case UART_MCR:
		return uart.mcr;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE | (uart.received ? UART_LSR_DR : 0);
	case UART_MSR:
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	default:
		return uart.scr;
	}
}

static void write_register(u16 reg, u8 value)
{
	switch (reg) {
	case UART_TX:
		if (uart.lcr & UART_LCR_DLAB) {
			uart.divisor[0] = value;
			break;
		}
		send(value);
		uart.sent = true;
		break;
	case UART_IER:
		if (uart.lcr & UART_LCR_DLAB) {
			uart.divisor[1] = value;
			break;
		}
		/* To enable the interrupt while there is nothing to send raises it. */
		if (value & ~uart.ier & UART_IER_THRI)
			uart.sent = true;
		uart.ier = value & 0xf;
		break;
	case UART_FCR:
		uart.fifo_on = value & UART_FCR_ENABLE_FIFO;
		if (value & UART_FCR_CLEAR_RCVR) {
			uart.received = 0;
			pthread_cond_signal(&uart.room);
		}
		break;
	case UART_LCR:
		uart.lcr = value;
		break;
	case UART_MCR:
		uart.mcr = value;
		break;
	case UART_SCR:
		uart.scr = value;
		break;
	}
}

void serial_port(u16 reg, bool write, u8 *data)
{
	pthread_mutex_lock(&uart.lock);
	if (write)
		write_register(reg, *data);
	else
		*data = read_register(reg);
	update_irq();
	pthread_mutex_unlock(&uart.lock);
}

static void *read_input(void *arg)
{
	u8 byte;

	while (read(STDIN_FILENO, &byte, 1) == 1) {
		if (byte == LEAVE && isatty(STDIN_FILENO))
			end(STATUS_POWER_OFF);
		pthread_mutex_lock(&uart.lock);
		while (uart.received == FIFO_SIZE)
			pthread_cond_wait(&uart.room, &uart.lock);
		uart.fifo[uart.received++] = byte;
		update_irq();
		pthread_mutex_unlock(&uart.lock);
	}
	return NULL;
}

static void restore_terminal(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

void serial_start(void)
{
	pthread_t thread;

	if (!tcgetattr(STDIN_FILENO, &terminal)) {
		struct termios raw = terminal;

		cfmakeraw(&raw);
		/* For the VMM's own lines. */
		raw.c_oflag |= OPOST;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
		atexit(restore_terminal);
	}
	if (pthread_create(&thread, NULL, read_input, NULL))
		die("no thread for the console's input");
}
