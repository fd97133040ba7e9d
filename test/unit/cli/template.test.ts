import { describe, expect, it } from 'vitest';
import { parseTemplate, renderRows, renderTemplate } from '../../../src/cli/template.ts';

const ROW = {
  ID: '5f1c',
  Name: 'web',
  Vni: 4096,
  Ratio: 0.5,
  Internal: false,
  Attachable: true,
  Subnets: ['10.0.0.0/24', 'fd00::/64'],
  None: [] as string[],
  Labels: { team: 'shop', 'my-key': 'x' },
  Tunnel: null,
  IPv4Address: '10.0.0.2/24',
  Peers: [
    { Name: 'host2', Mtu: 1450, Tags: { a: '1' } },
    { Name: 'host3', Mtu: 1400, Tags: {} },
  ],
  Fields: { deep: { anything: 1 } },
};

const render = (template: string) => renderTemplate(parseTemplate(template), ROW);

describe('a template is rendered as Go does', () => {
  it.each([
    ['{{.Name}} {{ .Vni }}', 'web 4096'],
    ['{{json .}}', JSON.stringify(ROW)],
    // Beyond Go's: a place in a list as a field.
    ['{{.Subnets.0}} {{.Peers.1.Name}} {{.Peers.2.Name}}', '10.0.0.0/24 host3 <no value>'],
    ['{{.Name}}\\t{{.ID}}\\n', 'web\t5f1c\n'],
    // Docker's for one label.
    ['{{.Label "my-key"}}{{.Label "none"}} {{if .Label "team"}}{{.Label "team" | upper}}{{end}}', 'x SHOP'],
    // Blocks.
    ['{{if .Internal}}in{{else}}out{{end}}', 'out'],
    ['{{if .None}}some{{else if .Attachable}}free{{else}}no{{end}}', 'free'],
    ['{{if and .Attachable (not .Internal)}}yes{{end}}', 'yes'],
    ['{{range .Subnets}}[{{.}}]{{end}}', '[10.0.0.0/24][fd00::/64]'],
    ['{{range $i, $s := .Subnets}}{{if $i}}, {{end}}{{$i}}={{$s}}{{end}}', '0=10.0.0.0/24, 1=fd00::/64'],
    ['{{range $k, $v := .Labels}}{{$k}}:{{$v}};{{end}}', 'my-key:x;team:shop;'],
    ['{{range .None}}x{{else}}none{{end}}', 'none'],
    ['{{range .Peers}}{{.Name}}@{{$.Name}} {{end}}', 'host2@web host3@web '],
    ['{{range .Peers}}{{if eq .Name "host3"}}{{break}}{{end}}{{.Name}}{{end}}', 'host2'],
    ['{{range .Peers}}{{if eq .Name "host2"}}{{continue}}{{end}}{{.Name}}{{end}}', 'host3'],
    ['{{with .Tunnel}}{{.Node}}{{else}}no tunnel{{end}}', 'no tunnel'],
    ['{{with index .Peers 1}}{{.Name}}{{end}}', 'host3'],
    ['{{with $x := .Vni}}{{$x}}{{end}}', '4096'],
    ['{{$n := .Name}}{{if true}}{{$n = "db"}}{{end}}{{$n}}', 'db'],
    // Functions and pipelines.
    ['{{index .Subnets 0}} {{index .Labels "my-key"}}{{index .Labels "no"}}', '10.0.0.0/24 x'],
    ['{{(index .Peers 0).Mtu}}', '1450'],
    ['{{len .Peers}} {{len .Name}} {{len .Labels}}', '2 3 2'],
    ['{{join .Subnets ", "}} {{join (split "a-b" "-") "+"}}', '10.0.0.0/24, fd00::/64 a+b'],
    ['{{.Name | upper | printf "%s-%d" "x"  }}', undefined],
    ['{{.Vni | printf "%s-%d" .Name}}', 'web-4096'],
    [
      '{{printf "%-6s|%6d|%06.2f|%v|%q|%x|%t|%%" .Name .Vni .Ratio .Subnets .ID .Vni true}}',
      'web   |  4096|000.50|10.0.0.0/24,fd00::/64|"5f1c"|1000|true|%',
    ],
    ['{{println .Name .Vni}}{{print "a" "b" 1 2}}', 'web 4096\nab1 2'],
    ['{{title "two words"}} {{lower "AB"}} {{truncate .Name 2}} [{{pad .Name 1 2}}]', 'Two Words ab we [ web  ]'],
    [
      '{{eq .Vni 1 4096}} {{ne .Name "db"}} {{gt .Vni 5}} {{le .Name "web"}} {{lt 1 2}} {{ge 1 2}}',
      'true true true true true false',
    ],
    ['{{or .Internal .Name}} {{and .Name .None}}|{{slice .Name 1}}', 'web |eb'],
    ['{{"a\\tb\\""}}{{`raw\\n`}}', 'a\tb"raw\\n'],
    // Space and comments.
    ['a  {{- .Name -}}  b', 'awebb'],
    ['a  {{- " x " -}}  b{{/* gone */}}', 'a x b'],
    ['{{range .Subnets -}}\n  {{.}};\n{{- end}}', '10.0.0.0/24;fd00::/64;'],
    // What is not there.
    ['{{.Tunnel}} {{.Tunnel.Node}} {{.Labels.none}}', '<no value> <no value> <no value>'],
    ['{{.Labels.my-key}} {{.Fields.deep.nothing}} {{.Fields.deep.anything}}', 'x <no value> 1'],
    ['{{.Labels}} {{.Peers}}', 'team=shop,my-key=x Name=host2,Mtu=1450,Tags=a=1,Name=host3,Mtu=1400,Tags='],
  ])('%s', (template, expected) => {
    if (expected === undefined) expect(() => render(template)).toThrow();
    else expect(render(template)).toBe(expected);
  });
});

describe('what a template cannot mean is refused, with what there is', () => {
  it.each([
    ['{{.Nmae}}', 'no field Nmae in {{.Nmae}}; did you mean Name? there are ID, Name,'],
    ['{{range .Peers}}{{.Nam}}{{end}}', 'no field Nam in {{.Nam}}; did you mean Name? there are Name, Mtu, Tags'],
    ['{{$.Peer}}', 'no field Peer in {{$.Peer}}; did you mean Peers?'],
    ['{{.Vni.Deep}}', 'no field Deep in {{.Vni.Deep}}; there are none below it'],
    [
      '{{joim .Subnets ","}}',
      '{{joim .Subnets ","}}: there is no function joim; did you mean join? there are and, or, not,',
    ],
    ['{{.Name', 'it has no }}'],
    ['{{.Name !}}', '"!}}" is not understood'],
    ['{{}}', '{{}}: a value is missing, like .Name'],
    ['{{.Name .ID}}', 'a field takes no arguments'],
    ['{{.Name | .ID}}', 'what follows a | is a function'],
    ['{{if .Name}}x', 'an {{if}}, {{with}} or {{range}} has no {{end}}'],
    ['{{.Name}}{{end}}', '{{end}}: nothing is open that it could end'],
    ['{{if .Name}}{{else}}{{else}}{{end}}', 'there was an {{else}} already'],
    ['{{if .Name}}{{else range .Peers}}{{end}}', '"range" is one thing too many'],
    ['{{break}}', 'it belongs into a {{range}}'],
    ['{{$x}}', 'there is no variable $x'],
    ['{{$x = 1}}', 'there is no variable $x; make it with :='],
    ['{{template "x"}}', 'named templates are left out'],
    ['{{(len .Peers}}', 'a ) is missing'],
    ['{{eq .Vni "4096"}}', 'eq: 4096 (number) and "4096" (string) cannot be compared'],
    ['{{eq .Vni}}', 'eq: give it what to compare with'],
    ['{{index .Subnets 7}}', 'index: there is no item 7, only 2 of them'],
    ['{{range .Name}}{{end}}', 'range goes over lists and maps, not over "web"'],
    ['{{len .Vni}}', 'len: 4096 has no length'],
    ['{{join .Name ","}}', 'join: write it like join .Aliases ", "'],
    ['{{upper .Vni}}', 'upper: 4096 is no text; printf "%v" makes one'],
    ['{{printf "%d" .Name}}', 'printf: %d takes a number, not "web"; %v takes anything'],
    ['{{printf "%s"}}', 'printf: %s has no value; there are 0'],
    ['{{printf "x" 1}}', 'printf: it has 0 verbs for 1 values'],
    ['{{printf "%e" 1}}', 'printf: %e is not known; there are %s, %d'],
    ['{{"\\z"}}', 'has a backslash that means nothing'],
    ['plain', 'is neither json, table nor a template'],
  ])('%s', (template, message) => {
    expect(() => render(template)).toThrow(message);
  });
});

it('commands no terminal, and loses nothing as JSON', () => {
  const row = { Labels: { a: 'x\x1b[31m\x9b2J\x7f', b: 'two\nlines' } };
  const of = (template: string) => renderTemplate(parseTemplate(template), row);
  expect(of('{{.Labels.a}} {{.Labels.b}}{{"\\n"}}')).toBe('x?[31m?2J? two\nlines\n');
  expect(of('{{printf "%s" .Labels}}')).toBe('a=x?[31m?2J?,b=two\nlines');
  expect(of('{{json .Labels.a}}')).toBe('"x\\u001b[31m\\u009b2J\\u007f"');
  expect(JSON.parse(of('{{json .}}'))).toEqual(row);
});

describe('a table', () => {
  const rows = [ROW, { ...ROW, Name: 'a-long-name', Vni: 7 }];

  it('has columns where the tabs are, named after the fields', () => {
    const table = renderRows(
      parseTemplate('table {{.Name}}\\t{{.Vni}}\\t{{join .Subnets " "}}\\t{{.IPv4Address}}'),
      rows,
    );
    expect(table.split('\n')).toEqual([
      'NAME          VNI    SUBNETS                 IPV4 ADDRESS',
      'web           4096   10.0.0.0/24 fd00::/64   10.0.0.2/24',
      'a-long-name   7      10.0.0.0/24 fd00::/64   10.0.0.2/24',
    ]);
  });

  it('has its heading without rows as well', () => {
    expect(renderRows(parseTemplate('table {{.NetworkID}}\t{{if .MacAddress}}x{{end}}'), [])).toBe(
      'NETWORK ID   MAC ADDRESS',
    );
  });
});
